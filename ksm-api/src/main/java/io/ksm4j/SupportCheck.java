// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.KsmSupport.Kind;
import io.ksm4j.KsmSupport.Obstacle;
import io.ksm4j.internal.Descriptors;
import io.ksm4j.internal.linux.Linux;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Finds the obstacles to marking and merging pages. */
final class SupportCheck {

    private static final Path RUN = Path.of("/sys/kernel/mm/ksm/run");

    private SupportCheck() {}

    static KsmSupport of(Kernel kernel) {
        List<Obstacle> obstacles = new ArrayList<>();
        if (kernel.backend instanceof FallbackBackend fallback) {
            obstacles.add(new Obstacle(
                    Kind.FALLBACK,
                    "these are fallback regions, whose advice is recorded and has no effect: " + fallback.reason));
        }
        if (!Backends.isLinux()) {
            obstacles.add(new Obstacle(
                    Kind.NOT_LINUX, System.getProperty("os.name") + " has no Kernel Samepage Merging: run on Linux"));
            return new KsmSupport(kernel.backend.name(), false, false, obstacles);
        }
        checkKernel(kernel, obstacles);
        boolean canMark = obstacles.isEmpty();
        checkDaemon(obstacles);
        return new KsmSupport(kernel.backend.name(), canMark, obstacles.isEmpty(), obstacles);
    }

    private static void checkKernel(Kernel kernel, List<Obstacle> obstacles) {
        if (kernel.recordsOnly) {
            return;
        }
        int probe = FailureCauses.tryMergeable(kernel.backend);
        if (probe == -Linux.EINVAL) {
            obstacles.add(new Obstacle(
                    Kind.KERNEL_WITHOUT_KSM,
                    "madvise(MADV_MERGEABLE) fails with EINVAL: use a kernel with CONFIG_KSM=y"
                            + " (zgrep KSM /proc/config.gz)"));
        } else if (probe < 0) {
            obstacles.add(new Obstacle(
                    Kind.ADVICE_FORBIDDEN,
                    "madvise(MADV_MERGEABLE) of a page of our own fails with " + Linux.errnoName(-probe)
                            + ": a seccomp filter or another policy forbids it"));
        }
    }

    private static void checkDaemon(List<Obstacle> obstacles) {
        String run;
        try {
            run = Files.readString(RUN).trim();
        } catch (IOException e) {
            obstacles.add(new Obstacle(
                    Kind.DAEMON_UNKNOWN,
                    RUN + " cannot be read, so ksmd may run or not: "
                            + (Descriptors.areUsedUp()
                                    ? Descriptors.USED_UP
                                    : "the kernel has no KSM, or the container hides /sys")));
            return;
        }
        if (run.equals("1")) {
            return;
        }
        if (Files.isWritable(RUN)) {
            obstacles.add(new Obstacle(Kind.DAEMON_STOPPED, "ksmd is stopped: start it with echo 1 > " + RUN));
        } else {
            obstacles.add(new Obstacle(
                    Kind.NO_PERMISSION_TO_START,
                    "ksmd is stopped and this process may not start it: as root, run echo 1 > " + RUN));
        }
    }
}
