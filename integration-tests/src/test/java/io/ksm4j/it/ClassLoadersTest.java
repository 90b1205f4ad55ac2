package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.TestLength;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

/** Copies of ksm4j in several class loaders share one registry, and none keeps another's loader. */
@Aside
@EnabledIfKsm
class ClassLoadersTest {

    /** JNA itself keeps every class that has direct mappings, even from a loader above. */
    @SuppressWarnings("UnusedVariable") // A field source.
    private static final List<String> UNLOADED = BackendsUnderTest.SOME.stream()
            .filter(backend -> !backend.equals("jna"))
            .toList();

    @ParameterizedTest
    @CsvSource({"ffm, ffm", "jna, ffm", "jnr, jna"})
    void copiesShareOneRegistryAndCountMarksTogether(String first, String second) {
        run(List.of(), "one-registry", first, second);
    }

    @Test
    void beanOutlivesTheCopyThatRegisteredItAndStartsAnewAfterTheLast() {
        run(List.of(), "bean");
    }

    @Test
    void beanIsAnsweredByALivingCopyThoughTheFirstCanLoadNoMoreClasses() {
        run(List.of(), "stopped-loaders");
    }

    @Tag("more")
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.BackendsUnderTest#SOME")
    void forgottenRegionsAreReclaimedThoughNoMoreClassesCanBeLoaded(String backend) {
        run(List.of(), "forgotten-in-stopped-loader", backend);
    }

    @Tag("more")
    @ParameterizedTest
    @FieldSource("UNLOADED")
    void classLoaderIsCollectedOnceItsRegionsAreClosedOrForgotten(String backend) {
        run(List.of(), "unload", backend);
    }

    @Tag("more")
    @ParameterizedTest
    @FieldSource("UNLOADED")
    void classLoaderIsCollectedWhileTheFlightRecorderRuns(String backend) {
        run(List.of(), "unload-while-recording", backend);
    }

    @Test
    void oneOfManyCopiesTellsTheFlightRecorder() {
        run(List.of(), "one-tells");
    }

    @Tag("more")
    @Test
    void copiesThatStartTogetherShareOneRegistry() {
        run(List.of(), "start-together", Integer.toString(TestLength.times(3)));
    }

    @Test
    void registryCanBeAskedForWhileAnotherThreadOfTheCopyJoinsTheTable() {
        run(List.of(), "ask-while-joining");
    }

    @Test
    void copyOfAnotherLayoutLeavesTheRegistryAloneAndKeepsItsOwn() {
        run(List.of(), "other-layout");
    }

    @Test
    void withoutJmxNoBeanServerIsStarted() {
        run(List.of("-Dio.ksm4j.jmx=false"), "no-jmx");
    }

    private static void run(List<String> options, String... scenario) {
        List<String> jvmArguments = Stream.concat(Stream.of("-Xmx256m", "-XX:+UseSerialGC"), options.stream())
                .toList();
        ChildJvm child =
                ChildJvm.run(ClassLoaders.class, jvmArguments, scenario).assertEndedWell();
        assertThat(child.output()).doesNotContain("Exception").doesNotContain("\tat ");
    }
}
