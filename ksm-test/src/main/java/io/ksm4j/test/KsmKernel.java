package io.ksm4j.test;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/**
 * Whether the tests run on a kernel whose KSM they can use. Where they don't, they skip and say why; with {@code
 * -Dksm.required=true} they fail instead, so that a gate that counts on KSM cannot pass without it.
 */
public final class KsmKernel {

    static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");

    private KsmKernel() {}

    /** Skips or fails the test unless the kernel was built with KSM. */
    public static void require() {
        require(Files.isDirectory(SYSFS), SYSFS + " does not exist: this kernel has no KSM, or the container hides it");
    }

    /** Skips or fails the test unless {@code ksmd} can be started and stopped. */
    public static void requireControl() {
        require();
        require(Files.isWritable(SYSFS.resolve("run")), "no right to write " + SYSFS.resolve("run") + ": run as root");
    }

    private static void require(boolean met, String reason) {
        if (Boolean.getBoolean("ksm.required")) {
            Assertions.assertTrue(met, "-Dksm.required=true, but " + reason);
        }
        Assumptions.assumeTrue(met, reason);
    }
}
