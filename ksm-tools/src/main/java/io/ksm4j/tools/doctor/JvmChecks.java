// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.doctor;

import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.KsmSupport;
import io.ksm4j.stats.Finding;
import io.ksm4j.tools.linux.BackendSearch;
import io.ksm4j.tools.linux.MallocArenas;
import io.ksm4j.tools.linux.ProcessStatus;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Checks what this JVM can do, by trying it. */
final class JvmChecks {

    private static final int FIRST_WITH_FFM = 22;

    List<Check> all() {
        List<Check> checks = new ArrayList<>();
        checks.add(java());
        checks.add(malloc());
        BackendSearch search = BackendSearch.find();
        checks.add(backend(search));
        search.backend().ifPresent(backend -> {
            Ksm ksm = Ksm.with(backend);
            checks.add(advice(ksm));
            checks.add(wholeProcess(ksm));
        });
        return checks;
    }

    private static Check java() {
        int feature = Runtime.version().feature();
        String found = "Java " + System.getProperty("java.version") + ", " + System.getProperty("java.vendor");
        if (feature < FIRST_WITH_FFM) {
            return Check.ok("java", found + "; native access needs no flag");
        }
        return isNativeAccessEnabled()
                ? Check.ok("java", found + "; native access is enabled, as it must be for your programs")
                : Check.warning(
                        "java",
                        found + "; native access is not enabled, and later Java versions will refuse it",
                        "--enable-native-access=ALL-UNNAMED, or the backends' module names, as an option of java");
    }

    /** Calls {@code Module.isNativeAccessEnabled}, which exists since Java 22. */
    private static boolean isNativeAccessEnabled() {
        try {
            return (boolean) Module.class
                    .getMethod("isNativeAccessEnabled")
                    .invoke(Ksm.class.getClassLoader().getUnnamedModule());
        } catch (ReflectiveOperationException e) {
            return false;
        }
    }

    /** Examines the environment, which the programs that are started in it have in common with this JVM. */
    private static Check malloc() {
        Optional<MallocArenas> malloc;
        try {
            malloc = MallocArenas.read(Path.of("/proc/self"));
        } catch (IOException e) {
            malloc = Optional.empty();
        }
        if (malloc.isEmpty()) {
            return Check.ok("malloc", "this JVM is not known to use glibc's malloc");
        }
        return malloc.get().isThresholdFixed()
                ? Check.ok(
                        "malloc",
                        "glibc's mmap threshold is fixed in this environment: large direct buffers and blocks of native"
                                + " libraries have mappings of their own, where equal data merges")
                : Check.warning(
                        "malloc",
                        "glibc's mmap threshold is not fixed in this environment: direct buffers and blocks of native"
                                + " libraries may be in arenas, where equal data lies at different offsets and does not"
                                + " merge",
                        "start programs that have their data there with " + MallocArenas.FIXED_THRESHOLD);
    }

    private static Check backend(BackendSearch search) {
        String refused = search.refused().isEmpty() ? "" : "; not usable: " + String.join("; ", search.refused());
        return search.backend()
                .map(backend -> Check.ok("backend", backend.name() + refused))
                .orElseGet(() -> Check.failed(
                        "backend",
                        "no usable backend" + refused,
                        "io.ksm4j:ksm-ffm, ksm-jnr or ksm-jna on the class path, and a java.io.tmpdir that"
                                + " allows execution"));
    }

    private static Check advice(Ksm ksm) {
        KsmSupport support = ksm.support();
        if (support.canMark()) {
            return Check.ok("advice", "the kernel accepts madvise(MADV_MERGEABLE)");
        }
        Finding obstacle = support.obstacles().get(0);
        return Check.failed(
                "advice",
                obstacle.kind() == Finding.Kind.ADVICE_FORBIDDEN ? obstacle.reason() + seccomp() : obstacle.reason(),
                obstacle.remedy());
    }

    private static String seccomp() {
        try {
            boolean filtered =
                    ProcessStatus.read(Path.of("/proc/self")).field("Seccomp").equals("2");
            return filtered ? "; this process has a seccomp filter" : "; this process has no seccomp filter";
        } catch (IOException e) {
            return "";
        }
    }

    private static Check wholeProcess(Ksm ksm) {
        try {
            return Check.ok(
                    "whole-process",
                    ksm.process().isMergeable()
                            ? "all memory of this process may merge: inherited from its parent"
                            : "the kernel can opt in whole processes, as ksm run does");
        } catch (KsmException e) {
            return Check.warning(
                    "whole-process",
                    "whole processes cannot be opted in: " + e.getMessage(),
                    "Linux 6.4 or later, and a seccomp profile that allows prctl; regions can be marked one by one");
        }
    }
}
