// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import io.ksm4j.spi.KsmBackend;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.function.BooleanSupplier;
import java.util.function.ToLongBiFunction;
import java.util.regex.Pattern;

/**
 * The optional features of the kernel that ksm4j uses. Each is detected on the running kernel, not derived from its
 * version.
 */
@SuppressWarnings("ImmutableEnumChecker") // Questions have no state.
enum Feature {
    MERGE_ACROSS_NODES("merge_across_nodes"),
    USE_ZERO_PAGES("use_zero_pages"),
    MAX_PAGE_SHARING("max_page_sharing"),
    GENERAL_PROFIT("general_profit"),
    KSM_ZERO_PAGES("ksm_zero_pages"),
    PAGES_SCANNED("pages_scanned"),
    SMART_SCAN("smart_scan"),
    PAGES_SKIPPED("pages_skipped"),
    ADVISOR_MODE("advisor_mode"),
    SWPIN_COPY("ksm_swpin_copy in vmstat", () -> isIn("/proc/vmstat", "^ksm_swpin_copy ")),
    COW_KSM("cow_ksm in vmstat", () -> isIn("/proc/vmstat", "^cow_ksm ")),
    MERGING_PAGES("ksm_merging_pages", () -> exists("/proc/self/ksm_merging_pages")),
    STAT("ksm_stat", () -> exists("/proc/self/ksm_stat")),
    STAT_MERGING_PAGES("ksm_merging_pages in ksm_stat", () -> isIn("/proc/self/ksm_stat", "^ksm_merging_pages ")),
    STAT_PROCESS_PROFIT("ksm_process_profit in ksm_stat", () -> isIn("/proc/self/ksm_stat", "^ksm_process_profit ")),
    STAT_ZERO_PAGES("ksm_zero_pages in ksm_stat", () -> isIn("/proc/self/ksm_stat", "^ksm_zero_pages ")),
    STAT_MERGEABLE("ksm_mergeable in ksm_stat", () -> isIn("/proc/self/ksm_stat", "^ksm_mergeable")),
    SMAPS_KSM("KSM in smaps", () -> isIn("/proc/self/smaps", "^KSM:")),
    MEMORY_MERGE("PR_SET_MEMORY_MERGE", () -> Backend.any().prctl(Interface.PR_GET_MEMORY_MERGE, 0, 0, 0, 0) >= 0),
    PROCESS_MADVISE("process_madvise of MADV_MERGEABLE", () -> tryOnAPage(Feature::adviseByProcess)),
    POPULATE_WRITE(
            "MADV_POPULATE_WRITE",
            () -> tryOnAPage(
                    (backend, page) -> backend.madvise(page, backend.pageSize(), Interface.MADV_POPULATE_WRITE))),
    // Removing a name works on every kernel that has names.
    ANON_NAME(
            "PR_SET_VMA_ANON_NAME",
            () -> tryOnAPage((backend, page) -> backend.prctl(Interface.PR_SET_VMA, 0, page, backend.pageSize(), 0))),
    HUGE_PAGES("transparent_hugepage", () -> exists("/sys/kernel/mm/transparent_hugepage")),
    HUGE_PAGES_BY_SIZE("transparent_hugepage by size", Feature::hasHugePagesBySize),
    PRESSURE("pressure of memory", () -> exists("/proc/pressure/memory")),
    CGROUP("memory cgroup v2", () -> isIn("/sys/fs/cgroup/cgroup.controllers", "\\bmemory\\b")),
    RECLAIM("memory.reclaim", () -> exists("/sys/fs/cgroup/memory.reclaim"));

    /** Numbers of the system call interface. */
    private static final class Interface {
        static final int PROT_READ_WRITE = 3;
        static final int MAP_PRIVATE_ANONYMOUS = 0x22;
        static final int MADV_MERGEABLE = 12;
        static final int MADV_POPULATE_WRITE = 23;
        static final int PR_GET_MEMORY_MERGE = 68;
        static final int PR_SET_VMA = 0x53564d41;
        static final long PIDFD_OPEN = 434;
        static final long PROCESS_MADVISE = 440;
    }

    private final String label;
    private final BooleanSupplier question;

    Feature(String setting) {
        this(setting, () -> exists("/sys/kernel/mm/ksm/" + setting));
    }

    Feature(String label, BooleanSupplier question) {
        this.label = label;
        this.question = question;
    }

    /** Returns the name in the documentation. */
    String label() {
        return label;
    }

    /** Returns whether the kernel has the feature. Each call asks the kernel again. */
    boolean isThere() {
        return question.getAsBoolean();
    }

    private static boolean exists(String file) {
        return Files.exists(Path.of(file));
    }

    private static boolean isIn(String file, String pattern) {
        try {
            String text = new String(Files.readAllBytes(Path.of(file)), StandardCharsets.ISO_8859_1);
            return Pattern.compile(pattern, Pattern.MULTILINE).matcher(text).find();
        } catch (NoSuchFileException e) {
            return false;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns whether each size of huge pages has its own setting. */
    private static boolean hasHugePagesBySize() {
        String[] sizes = new File("/sys/kernel/mm/transparent_hugepage")
                .list((directory, name) -> name.startsWith("hugepages-"));
        return sizes != null && sizes.length > 0;
    }

    /** Returns whether a call on a new page succeeds. */
    private static boolean tryOnAPage(ToLongBiFunction<KsmBackend, Long> call) {
        KsmBackend backend = Backend.any();
        long page = backend.mmap(backend.pageSize(), Interface.PROT_READ_WRITE, Interface.MAP_PRIVATE_ANONYMOUS);
        try {
            return call.applyAsLong(backend, page) >= 0;
        } finally {
            backend.munmap(page, backend.pageSize());
        }
    }

    /**
     * Advises one range, whose address and length are stored in the page itself. Leaves the descriptor of this process
     * open.
     */
    private static long adviseByProcess(KsmBackend backend, long page) {
        ByteBuffer ranges = backend.map(page, backend.pageSize(), new Object())
                .buffer(0, 2 * Long.BYTES)
                .order(ByteOrder.nativeOrder());
        ranges.putLong(0, page).putLong(Long.BYTES, backend.pageSize());
        long process =
                backend.syscall(Interface.PIDFD_OPEN, ProcessHandle.current().pid(), 0, 0, 0, 0);
        return process < 0
                ? process
                : backend.syscall(Interface.PROCESS_MADVISE, process, page, 1, Interface.MADV_MERGEABLE, 0);
    }
}
