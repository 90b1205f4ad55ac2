// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.testsupport.JavaCommand;
import io.ksm4j.testsupport.TestLength;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

/** Copies of ksm4j in several class loaders share one registry, and no copy keeps the loader of another. */
@Aside
@EnabledIfKsm
class ClassLoadersTest {

    /** JNA keeps every class with direct mappings, even if JNA is in a parent loader. */
    @SuppressWarnings("UnusedVariable") // A field source.
    private static final List<String> UNLOADED = TestedBackends.SOME.stream()
            .filter(backend -> !backend.equals("jna"))
            .toList();

    @ParameterizedTest
    @CsvSource({"ffm, ffm", "jna, ffm", "jnr, jna"})
    void copiesShareOneRegistryAndCountMarksTogether(String first, String second) {
        run(List.of(), "one-registry", first, second);
    }

    @Tag("long")
    @Test
    void theBeanOutlivesTheCopyThatRegisteredItAndStartsAgainAfterTheLast() {
        run(List.of(), "bean");
    }

    @Tag("long")
    @Test
    void theBeanIsAnsweredByAnotherCopyIfTheFirstCanLoadNoMoreClasses() {
        run(List.of(), "stopped-loaders");
    }

    @Tag("more")
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.fixtures.TestedBackends#SOME")
    void forgottenRegionsAreReclaimedIfNoMoreClassesCanBeLoaded(String backend) {
        run(List.of(), "forgotten-in-stopped-loader", backend);
    }

    @Tag("more")
    @ParameterizedTest
    @FieldSource("UNLOADED")
    void classLoaderIsCollectedOnceItsRegionsAreClosedOrForgotten(String backend) {
        run(List.of(), "unload", backend);
    }

    @Tag("long")
    @ParameterizedTest
    @FieldSource("UNLOADED")
    void classLoaderIsCollectedWhileTheFlightRecorderRuns(String backend) {
        run(List.of(), "unload-while-recording", backend);
    }

    @Tag("long")
    @Test
    void oneOfManyCopiesRecordsStatistics() {
        run(List.of(), "one-tells");
    }

    @Tag("more")
    @Test
    void copiesThatStartTogetherShareOneRegistry() {
        run(List.of(), "start-together", Integer.toString(TestLength.times(3)));
    }

    @Test
    void theRegistryIsAvailableWhileAnotherThreadOfTheCopyJoinsTheTable() {
        run(List.of(), "ask-while-joining");
    }

    @Test
    void aCopyWithAnotherLayoutKeepsItsOwnRegistry() {
        run(List.of(), "other-layout");
    }

    @Test
    void withoutJmxNoBeanServerIsStarted() {
        run(List.of("-Dio.ksm4j.jmx=false"), "no-jmx");
    }

    /**
     * The limit counts all processes of a user other than root, so the child runs as a user without other processes.
     */
    @Tag("long")
    @Test
    @EnabledIfRoot
    void copiesShareOneRegistryIfNoThreadCouldBeCreatedAtFirst(@TempDir Path directory) throws Exception {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        long user = 60_000 + ProcessHandle.current().pid() % 5_000;
        List<String> limited =
                List.of("setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups", "prlimit", "--nproc=100");
        Path home = Path.of(System.getProperty("java.home"));
        List<String> probe = new ArrayList<>(limited);
        probe.addAll(List.of("test", "-x", home.resolve("bin/java").toString()));
        assumeTrue(
                new ProcessBuilder(probe).start().waitFor() == 0,
                "another user may not run " + home + ", or setpriv or prlimit is missing");
        List<String> arguments = new ArrayList<>(JavaCommand.SHORT_LIVED);
        arguments.addAll(
                List.of("-Xmx256m", "-Xss256k", "-XX:-UsePerfData", "-ea", "--enable-native-access=ALL-UNNAMED"));
        arguments.addAll(
                List.of("-cp", ChildJvm.readableClassPath(directory), ClassLoaders.class.getName(), "no-threads"));
        assertEndedWell(ChildJvm.run(limited, home, PATIENCE, arguments));
    }

    @Tag("long")
    @Test
    void copiesShareOneRegistryIfNoDescriptorWasFreeForTheMBean() {
        assertEndedWell(
                ChildJvm.run(List.of("prlimit", "--nofile=200:200"), ClassLoaders.class, List.of(), "no-descriptors"));
    }

    private static void run(List<String> options, String... scenario) {
        List<String> jvmArguments = Stream.concat(Stream.of("-Xmx256m", "-XX:+UseSerialGC"), options.stream())
                .toList();
        assertEndedWell(ChildJvm.run(ClassLoaders.class, jvmArguments, scenario));
    }

    private static void assertEndedWell(ChildJvm child) {
        assertThat(child.assertEndedWell().output()).doesNotContain("Exception").doesNotContain("\tat ");
    }
}
