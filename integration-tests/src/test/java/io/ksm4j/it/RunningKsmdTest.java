package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.test.KsmKernel;
import io.ksm4j.test.RunningKsmd;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RunningKsmdTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    private static final Path LOCK = Path.of(System.getProperty("java.io.tmpdir"), "ksm4j-ksmd.lock");

    /** What a running ksmd changes beside advisor_mode. */
    private static final List<String> CHANGED =
            List.of("smart_scan", "use_zero_pages", "pages_to_scan", "sleep_millisecs", "run");

    static final class StartAndStop {
        public static void main(String[] args) {
            RunningKsmd.start().close();
        }
    }

    /** While it does, the kernel refuses pages_to_scan, so the order matters in which things are put back. */
    @Test
    void putsBackAKernelThatAdvisesItself(@TempDir Path folder) throws Exception {
        KsmKernel.requireControl();
        assumeTrue(Files.exists(SYSFS.resolve("advisor_mode")), "before Linux 6.8 no kernel advises itself");
        try (FileChannel lock = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            lock.lock();
            String mode = Files.readString(SYSFS.resolve("advisor_mode"));
            assumeTrue(mode.startsWith("[none]"), "this kernel advises itself already: " + mode);
            Map<String, String> found = settings();
            Files.writeString(SYSFS.resolve("advisor_mode"), "scan-time");
            try {
                Map<String, String> before = settings();
                // Another JVM, with another lock: this one has the real one.
                Process child = new ProcessBuilder(
                                Path.of(System.getProperty("java.home"), "bin", "java")
                                        .toString(),
                                "-Djava.io.tmpdir=" + folder,
                                "-cp",
                                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                                StartAndStop.class.getName())
                        .inheritIO()
                        .start();

                assertThat(child.waitFor(60, TimeUnit.SECONDS)).isTrue();
                assertThat(settings()).isEqualTo(before);
                assertThat(child.exitValue()).isZero();
            } finally {
                Files.writeString(SYSFS.resolve("advisor_mode"), "none");
                for (String name : CHANGED) {
                    Files.writeString(SYSFS.resolve(name), found.get(name).trim());
                }
            }
        }
    }

    private static Map<String, String> settings() throws IOException {
        Map<String, String> settings = new TreeMap<>();
        settings.put("advisor_mode", Files.readString(SYSFS.resolve("advisor_mode")));
        for (String name : CHANGED) {
            settings.put(name, Files.readString(SYSFS.resolve(name)));
        }
        return settings;
    }
}
