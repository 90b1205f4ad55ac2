// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Descriptors;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.stats.Finding;
import io.ksm4j.stats.Finding.Kind;
import io.ksm4j.stats.Finding.Scope;
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
        List<Finding> obstacles = new ArrayList<>();
        if (kernel.backend instanceof FallbackBackend fallback) {
            obstacles.add(new Finding(
                    Kind.FALLBACK,
                    Scope.REGIONS,
                    0,
                    0,
                    "these are fallback regions, whose advice is recorded and has no effect: " + fallback.reason,
                    ""));
        }
        if (!Backends.isLinux()) {
            obstacles.add(new Finding(
                    Kind.NOT_LINUX,
                    Scope.MACHINE,
                    0,
                    0,
                    System.getProperty("os.name") + " has no Kernel Samepage Merging",
                    "run on Linux"));
            return new KsmSupport(kernel.backend.name(), false, false, obstacles);
        }
        checkKernel(kernel, obstacles);
        boolean canMark = obstacles.isEmpty();
        checkKsmd(obstacles);
        return new KsmSupport(kernel.backend.name(), canMark, obstacles.isEmpty(), obstacles);
    }

    private static void checkKernel(Kernel kernel, List<Finding> obstacles) {
        if (kernel.recordsOnly) {
            return;
        }
        int probe = FailureCauses.tryMergeable(kernel.backend);
        if (probe == -Linux.EINVAL) {
            obstacles.add(new Finding(
                    Kind.KERNEL_WITHOUT_KSM,
                    Scope.MACHINE,
                    Linux.EINVAL,
                    0,
                    "madvise(MADV_MERGEABLE) fails with EINVAL",
                    "use a kernel with CONFIG_KSM=y (zgrep KSM /proc/config.gz)"));
        } else if (probe < 0) {
            obstacles.add(new Finding(
                    Kind.ADVICE_FORBIDDEN,
                    Scope.PROCESS,
                    -probe,
                    0,
                    "madvise(MADV_MERGEABLE) of a page of our own fails with " + Linux.errnoName(-probe)
                            + ", because a seccomp filter or another policy forbids it",
                    "allow madvise and prctl in the profile (docker run --security-opt seccomp=PROFILE)"));
        }
    }

    private static void checkKsmd(List<Finding> obstacles) {
        String run;
        try {
            run = Files.readString(RUN).trim();
        } catch (IOException e) {
            obstacles.add(
                    Descriptors.areUsedUp()
                            ? hidden(Descriptors.USED_UP, "")
                            : hidden(
                                    "the kernel has no KSM, or the container hides /sys",
                                    "mount the host's /sys read-only into the container"));
            return;
        }
        if (run.equals("1")) {
            return;
        }
        obstacles.add(new Finding(
                Kind.KSMD_STOPPED,
                Scope.MACHINE,
                run.equals("2") ? 2 : 0,
                1,
                "ksmd is stopped, so nothing merges",
                "start it with echo 1 > " + RUN));
        if (!Files.isWritable(RUN)) {
            obstacles.add(new Finding(
                    Kind.NO_PERMISSION,
                    Scope.PROCESS,
                    1,
                    0,
                    "this process has no permission to start ksmd",
                    "run as root, on the host if this is a container"));
        }
    }

    private static Finding hidden(String cause, String remedy) {
        return new Finding(
                Kind.HIDDEN, Scope.MACHINE, 0, 0, RUN + " cannot be read, so ksmd may run or not: " + cause, remedy);
    }
}
