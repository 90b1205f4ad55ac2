// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.samples;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.samples.quickstart.Quickstart;
import io.ksm4j.testsupport.JavaCommand;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** The quickstart as users run it: a separate program that may start ksmd and must restore its settings. */
@EnabledIfKsm(control = true)
class QuickstartTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    private static final Path LOCK = Path.of("/run/ksm4j/ksmd.lock");
    private static final Pattern LAST_LINE =
            Pattern.compile("saved ([0-9.]+) MiB of ([0-9.]+) MiB in ([0-9.]+) s \\(backend (\\w+)\\)");

    /** Not a multiple of any page size. */
    private static final int FILE_SIZE = (4 << 20) + 100;

    @TempDir
    private Path directory;

    private Path file;
    private FileChannel lock;
    private FileLock locked;
    private Map<String, String> found;

    /** Keeps other tests from changing ksmd, and stops it. */
    @BeforeEach
    void stopKsmd() throws IOException {
        file = directory.resolve("data");
        byte[] data = new byte[FILE_SIZE];
        new Random(1).nextBytes(data);
        Files.write(file, data);
        lock = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        locked = lock.lock();
        found = settings();
        write("run", "0");
    }

    @AfterEach
    void restore() throws IOException {
        if (locked == null) {
            return;
        }
        try {
            for (String name : List.of("run", "sleep_millisecs", "pages_to_scan")) {
                if (!Files.readString(SYSFS.resolve(name)).equals(found.get(name))) {
                    write(name, found.get(name).trim());
                }
            }
        } finally {
            lock.close();
        }
    }

    @Tag("more")
    @ParameterizedTest
    @FieldSource("io.ksm4j.it.fixtures.TestedBackends#SOME")
    void mergesFourCopiesIntoOneAndRestoresEverySetting(String backend) throws Exception {
        Map<String, String> before = settings();

        Quick quick = start(List.of("-Dio.ksm4j.backend=" + backend), file.toString());

        assertThat(quick.exitCode()).as(quick.output()).isZero();
        assertThat(settings()).isEqualTo(before);
        assertThat(quick.output()).contains("every setting is put back");
        assertThreeOfFourSaved(quick, backend);
    }

    @Test
    void takesABackendForJava17ByItself() throws Exception {
        Quick quick = start(Jdk17.home(), List.of(), file.toString());

        assertThat(quick.exitCode()).as(quick.output()).isZero();
        assertThreeOfFourSaved(quick, "jnr");
    }

    @Test
    void doesNotChangeARunningKsmd() throws Exception {
        write("pages_to_scan", "20000");
        write("sleep_millisecs", "1");
        write("run", "1");
        Map<String, String> before = settings();

        Quick quick = start(List.of(), file.toString());

        assertThat(quick.exitCode()).as(quick.output()).isZero();
        assertThat(settings()).isEqualTo(before);
        assertThat(quick.output()).contains("its settings stay as they are");
        assertThreeOfFourSaved(quick, "ffm");
    }

    @Test
    void speedsUpAVerySlowKsmdWhileItRuns() throws Exception {
        write("pages_to_scan", "1");
        write("sleep_millisecs", "1000");
        write("run", "1");
        Map<String, String> before = settings();

        Quick quick = start(List.of(), file.toString());

        assertThat(quick.exitCode()).as(quick.output()).isZero();
        assertThat(settings()).isEqualTo(before);
        assertThat(quick.output()).contains("ksmd runs, but is set so that this may take");
        assertThreeOfFourSaved(quick, "ffm");
    }

    @Test
    void restoresEverySettingWhenItIsTerminated() throws Exception {
        Map<String, String> before = settings();
        Quick quick = start(List.of());
        await().pollInterval(Duration.ofMillis(1)).until(() -> settings().get("run"), "1\n"::equals);

        quick.process.destroy();

        assertThat(quick.exitCode()).as(quick.output()).isEqualTo(128 + 15);
        assertThat(quick.output()).doesNotContain("saved ");
        assertThat(settings()).isEqualTo(before);
    }

    @Test
    void runsWithoutTheRightToStartKsmdAndSaysWhyNothingMerges() throws Exception {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        List<String> nobody = List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups");
        assumeTrue(
                finishes(Stream.concat(nobody.stream(), Stream.of(java(), "-version"))
                        .toList()),
                "setpriv or " + java() + " cannot be run as another user");
        Path temporary = Files.createDirectory(directory.resolve("tmp"));
        Files.setPosixFilePermissions(temporary, PosixFilePermissions.fromString("rwxrwxrwx"));
        List<String> command = new ArrayList<>(nobody);
        command.addAll(List.of(
                java(),
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.io.tmpdir=" + temporary,
                "-cp",
                ChildJvm.readableClassPath(directory),
                Quickstart.class.getName(),
                file.toString()));

        Quick quick = new Quick(command);

        assertThat(quick.exitCode()).as(quick.output()).isZero();
        assertThat(settings()).containsEntry("run", "0\n");
        assertThat(quick.output())
                .contains("nothing will merge here")
                .contains("this process has no permission to start ksmd");
        assertThat(quick.lastLine()).isEqualTo("saved 0 MiB of 16.02 MiB in 0.0 s (backend ffm)");
    }

    @Test
    void runsWithoutABackendAndSaysWhyNothingMerges() throws Exception {
        Map<String, String> before = settings();

        Quick quick = start(List.of("-Dio.ksm4j.backend=none"), file.toString());

        assertThat(quick.exitCode()).as(quick.output()).isZero();
        assertThat(settings()).isEqualTo(before);
        assertThat(quick.output()).contains("no usable backend is named \"none\"");
        assertThat(quick.lastLine()).isEqualTo("saved 0 MiB of 16.02 MiB in 0.0 s (backend fallback)");
    }

    @Test
    void refusesFilesItCannotLoad() throws Exception {
        Path empty = Files.createFile(directory.resolve("empty"));
        Path missing = directory.resolve("missing");

        Quick nothing = start(List.of(), empty.toString());
        assertThat(nothing.exitCode()).isEqualTo(1);
        assertThat(nothing.output()).contains("cannot load " + empty + ": it is empty");

        Quick onDirectory = start(List.of(), directory.toString());
        assertThat(onDirectory.exitCode()).isEqualTo(1);
        assertThat(onDirectory.output()).contains("it is a directory");

        Quick noFile = start(List.of(), missing.toString());
        assertThat(noFile.exitCode()).isEqualTo(2);
        assertThat(noFile.output()).contains("no such file: " + missing);
    }

    @Test
    void theScriptExplainsItsUseBeforeItBuildsAnything() throws Exception {
        String script = Path.of("..", "samples", "run").toString();

        Quick unknown = new Quick(List.of(script, "nonsense"));
        assertThat(unknown.exitCode()).isEqualTo(2);
        assertThat(unknown.output()).contains("Unknown sample: nonsense").contains("usage:");

        Quick noFile = new Quick(List.of(script, "quickstart", "/no/such/file"));
        assertThat(noFile.exitCode()).isEqualTo(2);
        assertThat(noFile.output()).contains("No such file: /no/such/file");
    }

    /** The data is random, so that a page is equal to its three copies only. */
    private static void assertThreeOfFourSaved(Quick quick, String backend) throws IOException {
        Matcher line = LAST_LINE.matcher(quick.lastLine());
        assertThat(line.matches()).as(quick.output()).isTrue();
        assertThat(Double.parseDouble(line.group(2))).isEqualTo(16.02);
        assertThat(Double.parseDouble(line.group(1))).isBetween(16.02 * 0.7, 16.02 * 0.75 + 0.01);
        assertThat(line.group(4)).isEqualTo(backend);
    }

    private static Map<String, String> settings() throws IOException {
        Map<String, String> settings = new TreeMap<>();
        try (Stream<Path> files = Files.list(SYSFS)) {
            for (Path setting : files.filter(Files::isRegularFile).toList()) {
                if (PosixFilePermissions.toString(Files.getPosixFilePermissions(setting))
                        .contains("w")) {
                    settings.put(setting.getFileName().toString(), Files.readString(setting));
                }
            }
        }
        return settings;
    }

    private static void write(String name, String value) throws IOException {
        Files.writeString(SYSFS.resolve(name), value);
    }

    private static String java() {
        return Path.of(System.getProperty("java.home"), "bin", "java").toString();
    }

    private static boolean finishes(List<String> command) throws InterruptedException {
        try {
            return new ProcessBuilder(command)
                            .redirectErrorStream(true)
                            .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                            .start()
                            .waitFor()
                    == 0;
        } catch (IOException e) {
            return false;
        }
    }

    /** Starts the quickstart with another lock file: this JVM holds the real lock. */
    private Quick start(List<String> options, String... arguments) throws IOException {
        return start(Path.of(System.getProperty("java.home")), options, arguments);
    }

    private Quick start(Path javaHome, List<String> options, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                javaHome.resolve("bin/java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.io.tmpdir=" + directory,
                "-cp",
                JavaCommand.classPath()));
        command.addAll(options);
        command.add(Quickstart.class.getName());
        command.addAll(List.of(arguments));
        return new Quick(command);
    }

    /** A running quickstart, and its output. */
    private final class Quick {
        private final Path log;
        private final Process process;

        Quick(List<String> command) throws IOException {
            log = Files.createTempFile(directory, "quickstart", ".log");
            process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(log.toFile())
                    .start();
        }

        int exitCode() throws InterruptedException {
            if (!process.waitFor(PATIENCE)) {
                process.destroy();
                throw new AssertionError("the quickstart does not end");
            }
            return process.exitValue();
        }

        String output() throws IOException {
            return Files.readString(log);
        }

        String lastLine() throws IOException {
            List<String> lines = Files.readAllLines(log);
            return lines.get(lines.size() - 1);
        }
    }
}
