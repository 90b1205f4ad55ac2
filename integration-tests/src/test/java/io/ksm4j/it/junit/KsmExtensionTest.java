// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.junit;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ParameterResolutionException;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.testkit.engine.EngineExecutionResults;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Event;

/** {@code @EnabledIfKsm} where KSM can be used: all settings are restored, whatever the test does. */
@EnabledIfKsm(control = true)
@ResourceLock(Aside.MARKED_MEMORY)
class KsmExtensionTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    private static final Path LOCK = Path.of("/run/ksm4j/ksmd.lock");

    /** What the inner tests saw. */
    private static final ConcurrentLinkedQueue<Object> SEEN = new ConcurrentLinkedQueue<>();

    private final Map<String, String> before = settingsAtRest();

    @BeforeEach
    void nothingIsSeenYet() {
        SEEN.clear();
    }

    private static EngineExecutionResults run(Class<?> testClass) {
        return EngineTestKit.engine("junit-jupiter")
                // The test kit requires it; build tools do not.
                .configurationParameter("ksm.required", Boolean.toString(Boolean.getBoolean("ksm.required")))
                .selectors(selectClass(testClass))
                .execute();
    }

    private static void saw(RunningKsmd ksmd) {
        assertThat(ksmd.read("run")).isEqualTo(1);
        assertThat(ksmd.read("sleep_millisecs")).isZero();
        // Since Linux 6.7.
        if (Files.exists(SYSFS.resolve("smart_scan"))) {
            assertThat(ksmd.read("smart_scan")).isZero();
        }
        SEEN.add(ksmd);
    }

    private static Throwable failure(Event event) {
        return event.getRequiredPayload(TestExecutionResult.class)
                .getThrowable()
                .orElseThrow();
    }

    @EnabledIfKsm(control = true)
    static class EndsInEveryWay {
        @Test
        void passes(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @Test
        void fails(RunningKsmd ksmd) {
            saw(ksmd);
            ksmd.set(KsmSetting.SLEEP_MILLISECS, 77);
            throw new IllegalStateException("sleep_millisecs " + ksmd.read("sleep_millisecs"));
        }

        @Test
        void aborts(RunningKsmd ksmd) {
            saw(ksmd);
            ksmd.set(KsmSetting.RUN, 0);
            Assumptions.abort("run " + ksmd.read("run"));
        }
    }

    @Test
    void everySettingIsRestoredHoweverATestEnds() {
        EngineExecutionResults results = run(EndsInEveryWay.class);

        results.testEvents()
                .assertStatistics(stats -> stats.succeeded(1).failed(1).aborted(1));
        assertThat(failure(results.testEvents().failed().list().get(0))).hasMessage("sleep_millisecs 77");
        assertThat(failure(results.testEvents().aborted().list().get(0))).hasMessageContaining("run 0");
        assertThat(SEEN).doesNotHaveDuplicates().hasSize(3);
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @EnabledIfKsm(control = true)
    static class InAllPlaces {
        InAllPlaces(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @BeforeEach
        void before(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @RepeatedTest(2)
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
        }
    }

    @Test
    void allParametersOfOneTestAreTheSame() {
        run(InAllPlaces.class).testEvents().assertStatistics(stats -> stats.succeeded(2));

        List<Object> seen = List.copyOf(SEEN);
        assertThat(seen).hasSize(6);
        assertThat(seen.subList(0, 3)).containsOnly(seen.get(0));
        assertThat(seen.subList(3, 6)).containsOnly(seen.get(3)).doesNotContain(seen.get(0));
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @EnabledIfKsm(control = true)
    static class ForAClass {
        @BeforeAll
        static void before(RunningKsmd ksmd) {
            saw(ksmd);
            ksmd.set(KsmSetting.PAGES_TO_SCAN, 4321);
        }

        @RepeatedTest(2)
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
            assertThat(ksmd.read("pages_to_scan")).isEqualTo(4321);
        }

        @Nested
        class Inside {
            @Test
            void runs(RunningKsmd ksmd) {
                saw(ksmd);
            }
        }
    }

    @EnabledIfKsm(control = true)
    @TestInstance(TestInstance.Lifecycle.PER_CLASS)
    static class ForAnInstance {
        ForAnInstance(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @RepeatedTest(3)
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
        }
    }

    @Test
    void aParameterOfAClassIsSharedByAllItsTests() {
        for (Class<?> testClass : List.of(ForAClass.class, ForAnInstance.class)) {
            SEEN.clear();
            run(testClass).testEvents().assertStatistics(stats -> stats.succeeded(3));
            assertThat(SEEN).hasSize(4).containsOnly(SEEN.element());
            assertThat(settingsAtRest()).isEqualTo(before);
        }
    }

    @EnabledIfKsm(control = true)
    static class First {
        private static final Set<Thread> THREADS = ConcurrentHashMap.newKeySet();

        @BeforeAll
        static void before(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @RepeatedTest(4)
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
            THREADS.add(Thread.currentThread());
        }
    }

    @EnabledIfKsm(control = true)
    static class Second {
        @BeforeAll
        static void before(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @RepeatedTest(4)
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
        }
    }

    static class Third {
        @RepeatedTest(4)
        @EnabledIfKsm(control = true)
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
        }
    }

    @Test
    void classesThatJUnitRunsInParallelTakeTurns() {
        First.THREADS.clear();
        EngineTestKit.engine("junit-jupiter")
                .configurationParameter("junit.jupiter.execution.parallel.enabled", "true")
                .configurationParameter("junit.jupiter.execution.parallel.mode.default", "concurrent")
                .configurationParameter("junit.jupiter.execution.parallel.config.strategy", "fixed")
                .configurationParameter("junit.jupiter.execution.parallel.config.fixed.parallelism", "4")
                .selectors(selectClass(First.class), selectClass(Second.class), selectClass(Third.class))
                .execute()
                .testEvents()
                .assertStatistics(stats -> stats.succeeded(12));
        List<Object> seen = new ArrayList<>(SEEN);
        assertThat(seen).hasSize(14);
        // The tests of one class are not interrupted by those of another.
        List<Object> turns = new ArrayList<>();
        for (Object ksmd : seen) {
            if (turns.isEmpty() || !turns.get(turns.size() - 1).equals(ksmd)) {
                turns.add(ksmd);
            }
        }
        assertThat(turns).hasSize(6).doesNotHaveDuplicates();
        // A thread that waits for a test of its class could run a test of another class, which would wait for the first
        // class.
        assertThat(First.THREADS).hasSize(1);
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @EnabledIfKsm
    static class WithoutControl {
        @Test
        void runs(RunningKsmd ksmd) {
            saw(ksmd);
        }

        @Test
        void needsNoKsmd() {
            SEEN.add("ran");
        }
    }

    @Test
    void aParameterWithoutControlFails() {
        EngineExecutionResults results = run(WithoutControl.class);
        assertThat(failure(results.testEvents().failed().list().get(0)))
                .isInstanceOf(ParameterResolutionException.class)
                .hasMessageContaining("@EnabledIfKsm(control = true)");
        assertThat(SEEN).containsExactly("ran");
    }

    @EnabledIfKsm(control = true)
    static class ChangesWhatNeedsNothingMerged {
        @Test
        void runs(RunningKsmd ksmd) throws Exception {
            Assumptions.assumeTrue(ksmd.read("pages_shared") == 0, "something else has merged");
            ksmd.set(KsmSetting.MAX_PAGE_SHARING, 100);
            Ksm ksm = Ksm.system();
            try (MergeRegion region = ksm.allocate(16 * ksm.pageSize())) {
                for (long at = 0; at < region.size(); at += ksm.pageSize()) {
                    region.buffer(at, 1).put(0, (byte) 1);
                }
                ksmd.awaitMerged(region, 1);
            }
            SEEN.add(ksmd.read("max_page_sharing"));
        }
    }

    @Test
    void aSettingThatChangesOnlyWhileNoPageIsMergedIsRestoredToo() {
        run(ChangesWhatNeedsNothingMerged.class)
                .testEvents()
                .assertStatistics(stats -> stats.started(1).failed(0));
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    /** Runs the tests of a class, and prints the results. */
    static final class RunInAnotherJvm {
        public static void main(String[] testClasses) throws ClassNotFoundException {
            for (String testClass : testClasses) {
                EngineExecutionResults results = run(Class.forName(testClass));
                System.out.println("passed " + results.testEvents().succeeded().count());
                Stream.concat(
                                results.allEvents().skipped().stream()
                                        .map(event -> event.getRequiredPayload(String.class)),
                                results.allEvents().failed().stream()
                                        .map(event ->
                                                String.valueOf(failure(event).getMessage())))
                        .forEach(System.out::println);
            }
        }
    }

    @Test
    void testsOfAnotherJvmWait() throws Exception {
        RunningKsmd ours = RunningKsmd.start();
        try (ours;
                RunningJvm other = RunningJvm.start(RunInAnotherJvm.class, InAllPlaces.class.getName())) {
            await("the other JVM in the queue for the lock").until(() -> isWaitingForALock(other.pid()));
            assertThat(other.hasPrintedMore()).isFalse();
            ours.close();
            other.awaitLine("passed 2");
            assertThat(other.awaitExit()).isZero();
        }
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @Test
    void testsThatMayNotChangeSettingsAreSkippedOrFailWithTheReason(@TempDir Path directory) throws Exception {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        String reason = "may not write /sys/kernel/mm/ksm/run";

        assertThat(asNobody(directory, false))
                .contains("passed 0")
                .contains(reason)
                .contains("passed 1")
                .doesNotContain("ksm.required");
        assertThat(asNobody(directory, true))
                .contains("passed 0")
                .containsPattern("-Dksm.required=true, but .*" + reason)
                .contains("passed 1");
    }

    private static String asNobody(Path directory, boolean required) throws Exception {
        Process child = new ProcessBuilder(
                        "setpriv",
                        "--reuid=65534",
                        "--regid=65534",
                        "--clear-groups",
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-Dksm.required=" + required,
                        "-cp",
                        ChildJvm.readableClassPath(Files.createDirectory(directory.resolve("required-" + required))),
                        RunInAnotherJvm.class.getName(),
                        EndsInEveryWay.class.getName(),
                        WithoutControl.class.getName())
                .redirectErrorStream(true)
                .start();
        String output = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(child.waitFor(PATIENCE)).as(output).isTrue();
        assertThat(child.exitValue()).as(output).isZero();
        return output;
    }

    /** Lines of waiters have an arrow: {@code 1: -> POSIX ADVISORY WRITE pid ...}, proc_locks(5). */
    private static boolean isWaitingForALock(long pid) throws IOException {
        return Files.readAllLines(Path.of("/proc/locks")).stream()
                .anyMatch(line -> line.contains("->") && line.contains(" " + pid + " "));
    }

    /** Returns the contents of all settings while no other JVM has changed them. */
    private static Map<String, String> settingsAtRest() {
        try (FileChannel lock = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            lock.lock();
            Map<String, String> settings = new TreeMap<>();
            for (KsmSetting setting : KsmSetting.values()) {
                Path file = SYSFS.resolve(setting.file());
                if (Files.exists(file)) {
                    settings.put(setting.file(), Files.readString(file));
                }
            }
            assertThat(settings).containsKeys("run", "pages_to_scan");
            return settings;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
