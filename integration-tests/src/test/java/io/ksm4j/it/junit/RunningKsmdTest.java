// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.junit;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.RunningJvm;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Method;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@EnabledIfKsm(control = true)
class RunningKsmdTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    private static final Path LOCK = Path.of("/run/ksm4j/ksmd.lock");

    /** The settings of this kernel that a running ksmd changes, except for advisor_mode. */
    private static final List<String> CHANGED = Stream.of(
                    "smart_scan", "use_zero_pages", "pages_to_scan", "sleep_millisecs", "run")
            .filter(name -> Files.exists(SYSFS.resolve(name)))
            .toList();

    static final class StartAndStop {
        public static void main(String[] args) {
            RunningKsmd.start().close();
        }
    }

    /** Starts ksmd, prints a line, and exits when its standard input ends, without closing ksmd. */
    static final class NeverStops {
        public static void main(String[] args) throws IOException {
            System.out.println("starting");
            RunningKsmd ksmd = RunningKsmd.start();
            System.out.println("running " + ksmd.read("run") + " " + ksmd.read("sleep_millisecs"));
            System.exit(System.in.read() == -1 ? 7 : 1);
        }
    }

    /** Closes while the file of a setting is missing, and again when the file exists. */
    static final class ClosesTwice {
        public static void main(String[] args) throws IOException {
            Path setting = SYSFS.resolve("sleep_millisecs");
            Path aside = SYSFS.resolve("aside");
            RunningKsmd ksmd = RunningKsmd.start();
            Files.move(setting, aside);
            try {
                ksmd.close();
            } catch (UncheckedIOException e) {
                System.out.println("failed with " + e.getMessage());
            }
            Files.move(aside, setting);
            System.out.print("it is " + Files.readString(setting));
            ksmd.close();
            System.out.print("and then " + Files.readString(setting));
        }
    }

    /** The child has its own settings and its own {@code /run}. */
    @Test
    void aCloseThatFailsIsRetried(@TempDir Path directory) throws IOException {
        for (String setting : List.of("run 0", "pages_to_scan 100", "sleep_millisecs 20", "pages_shared 0")) {
            String[] words = setting.split(" ", -1);
            Files.writeString(directory.resolve(words[0]), words[1] + "\n");
        }
        String mount = "mount -t tmpfs tmpfs /run && mount --bind " + directory + " " + SYSFS;
        ChildJvm child = ChildJvm.run(
                        List.of("unshare", "--mount", "sh", "-c", mount + " && exec \"$0\" \"$@\""),
                        ClosesTwice.class,
                        List.of("-Djava.io.tmpdir=" + directory))
                .assertEndedWell();
        assertThat(child.output())
                .containsSubsequence(
                        "failed with cannot read " + SYSFS.resolve("sleep_millisecs"), "it is 0\n", "and then 20\n");
    }

    @Test
    void runsAtFullSpeedAndRestoresEverySetting() throws IOException {
        Map<String, String> before = settingsAtRest();
        // ksmd does not scan where nothing is mergeable.
        try (MergeRegion region = Ksm.system().allocate(1);
                RunningKsmd ksmd = RunningKsmd.start()) {
            assertThat(region.isMergeable()).isTrue();
            assertThat(ksmd.read("run")).isEqualTo(1);
            assertThat(ksmd.read("sleep_millisecs")).isZero();
            long scans = ksmd.read("full_scans");
            ksmd.awaitFullScans(2);
            assertThat(ksmd.read("full_scans")).isGreaterThanOrEqualTo(scans + 2);
        }
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @Test
    void restoresEverySettingWhenTheTestThrows() throws IOException {
        Map<String, String> before = settingsAtRest();
        assertThatIllegalStateException().isThrownBy(() -> {
            try (RunningKsmd ksmd = RunningKsmd.start()) {
                throw new IllegalStateException("run is " + ksmd.read("run"));
            }
        });
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @Test
    void restoresEverySettingWhenTheJvmExitsWithoutClosing() throws Exception {
        Map<String, String> before = settingsAtRest();
        try (RunningJvm child = RunningJvm.start(NeverStops.class)) {
            child.awaitLine("running 1 0");
            assertThat(child.finish()).isEqualTo(7);
        }
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @Test
    void restoresEverySettingWhenTheJvmIsTerminated() throws Exception {
        Map<String, String> before = settingsAtRest();
        try (RunningJvm child = RunningJvm.start(NeverStops.class)) {
            child.awaitLine("running 1 0");
            assertThat(child.terminate()).isEqualTo(128 + 15);
        }
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    @Test
    void aSecondJvmWaitsUntilTheFirstIsDone() throws Exception {
        Map<String, String> before = settingsAtRest();
        RunningKsmd first = RunningKsmd.start();
        try (first;
                RunningJvm second = RunningJvm.start(NeverStops.class)) {
            second.awaitLine("starting");
            await("the second JVM in the queue for the lock").until(() -> isWaitingForALock(second.pid()));
            assertThat(second.hasPrintedMore()).isFalse();
            first.close();
            second.awaitLine("running 1 0");
            assertThat(second.finish()).isEqualTo(7);
        }
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    /** A server may run tests of several class loaders in one JVM. */
    @Test
    void aCopyOfAnotherClassLoaderWaits() throws Exception {
        Map<String, String> before = settingsAtRest();
        ChildJvm child = ChildJvm.run(CopiesTakeTurns.class, List.of());
        assertThat(child.exitStatus()).as(child.output()).isZero();
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    /** Two copies of the library use ksmd in turn. While one uses it, neither the other nor another JVM can. */
    static final class CopiesTakeTurns {

        public static void main(String[] args) throws Exception {
            URL[] classPath = Stream.of(System.getProperty("java.class.path").split(File.pathSeparator, -1))
                    .map(entry -> {
                        try {
                            return Path.of(entry).toUri().toURL();
                        } catch (MalformedURLException e) {
                            throw new UncheckedIOException(e);
                        }
                    })
                    .toArray(URL[]::new);
            try (URLClassLoader loader = new URLClassLoader(classPath, ClassLoader.getPlatformClassLoader())) {
                Method start = loader.loadClass(RunningKsmd.class.getName()).getMethod("start");
                FutureTask<AutoCloseable> other = new FutureTask<>(() -> (AutoCloseable) start.invoke(null));
                Thread thread = new Thread(other);
                RunningKsmd first = RunningKsmd.start();
                try (first) {
                    thread.start();
                    await("the other copy").until(() -> thread.getState() == Thread.State.TIMED_WAITING);
                    if (other.isDone() || !isLocked()) {
                        throw new AssertionError("the other copy has ksmd, or has released the lock of this one");
                    }
                }
                other.get().close();
            }
        }

        private static boolean isLocked() throws IOException {
            String pid = " " + ProcessHandle.current().pid() + " ";
            String inode = ":" + Files.getAttribute(LOCK, "unix:ino") + " ";
            return Files.readAllLines(Path.of("/proc/locks")).stream()
                    .anyMatch(line -> line.contains(pid) && line.contains(inode));
        }
    }

    @EnabledIfRoot
    @Test
    void aDirectoryThatOthersMayWriteIsRefused() {
        ChildJvm child = ChildJvm.run(ownFolder("0777"), StartAndStop.class, List.of());

        assertThat(child.exitStatus()).isNotZero();
        assertThat(child.output()).contains("others may write /run/ksm4j", "chmod 755 /run/ksm4j");
    }

    /** Returns a command with another {@code /run/ksm4j}, and so another lock file. */
    private static List<String> ownFolder(String mode) {
        return List.of(
                "unshare",
                "--mount",
                "sh",
                "-c",
                "mkdir -p /run/ksm4j && mount -t tmpfs -o mode=" + mode + " none /run/ksm4j && exec \"$@\"",
                "sh");
    }

    @Test
    void aSecondThreadWaitsUntilTheFirstIsDone() throws Exception {
        Map<String, String> before = settingsAtRest();
        CompletableFuture<Long> second = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try (RunningKsmd ksmd = RunningKsmd.start()) {
                second.complete(ksmd.read("run"));
            } catch (Throwable e) {
                second.completeExceptionally(e);
            }
        });
        try (RunningKsmd first = RunningKsmd.start()) {
            thread.start();
            await("the second thread in the queue").until(() -> thread.getState() == Thread.State.TIMED_WAITING);
            assertThat(second).isNotDone();
            assertThat(first.read("run")).isEqualTo(1);
        }
        assertThat(second.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isEqualTo(1);
        thread.join();
        assertThat(settingsAtRest()).isEqualTo(before);
    }

    /** Lines of waiters have an arrow: {@code 1: -> POSIX ADVISORY WRITE pid ...}, proc_locks(5). */
    private static boolean isWaitingForALock(long pid) throws IOException {
        return Files.readAllLines(Path.of("/proc/locks")).stream()
                .anyMatch(line -> line.contains("->") && line.contains(" " + pid + " "));
    }

    /**
     * While the advisor is active, the kernel refuses pages_to_scan, so the order matters in which settings are
     * restored.
     */
    @EnabledIfRoot
    @Test
    void restoresAnActiveAdvisor(@TempDir Path directory) throws Exception {
        assumeTrue(Files.exists(SYSFS.resolve("advisor_mode")), "before Linux 6.8 no kernel advises itself");
        try (FileChannel lock = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            lock.lock();
            String mode = Files.readString(SYSFS.resolve("advisor_mode"));
            assumeTrue(mode.startsWith("[none]"), "this kernel advises itself already: " + mode);
            Map<String, String> found = settings();
            Files.writeString(SYSFS.resolve("advisor_mode"), "scan-time");
            try {
                Map<String, String> before = settings();
                // Another JVM with another lock file: this JVM holds the real lock.
                ChildJvm child =
                        ChildJvm.run(ownFolder("0755"), StartAndStop.class, List.of("-Djava.io.tmpdir=" + directory));

                assertThat(settings()).isEqualTo(before);
                assertThat(child.exitStatus()).as(child.output()).isZero();
            } finally {
                Files.writeString(SYSFS.resolve("advisor_mode"), "none");
                for (String name : CHANGED) {
                    Files.writeString(SYSFS.resolve(name), found.get(name).trim());
                }
            }
        }
    }

    /** Returns the settings while no other JVM has changed them. */
    private static Map<String, String> settingsAtRest() throws IOException {
        try (FileChannel lock = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            lock.lock();
            return settings();
        }
    }

    private static Map<String, String> settings() throws IOException {
        Map<String, String> settings = new TreeMap<>();
        Path advisor = SYSFS.resolve("advisor_mode");
        settings.put("advisor_mode", Files.exists(advisor) ? Files.readString(advisor) : "none");
        for (String name : CHANGED) {
            settings.put(name, Files.readString(SYSFS.resolve(name)));
        }
        return settings;
    }
}
