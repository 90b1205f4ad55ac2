// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.ByteCount;
import io.ksm4j.internal.linux.Linux;
import java.io.BufferedReader;
import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds the limit that keeps the kernel from mapping more memory, by comparing the numbers in {@code /proc}: those of
 * the process (getrlimit(2), proc_pid_status(5)), and those of the machine (proc_meminfo(5),
 * {@code Documentation/mm/overcommit-accounting.rst}).
 *
 * <p>What cannot be read counts as no limit. Used when a call has failed, so it must not load classes: see
 * {@link ClassPreloader}.
 */
final class MemoryLimits {

    /** The limits of a process: the name in {@code self/limits}, what {@code self/status} calls its use, and texts. */
    private enum ProcessLimit {
        RLIMIT_AS(
                "Max address space",
                "VmSize:",
                "the address space of this process is limited to ",
                ", of which it has mapped ",
                ": raise RLIMIT_AS (ulimit -v), allocate less, or close regions"),
        RLIMIT_DATA(
                "Max data size",
                "VmData:",
                "the writable private memory of this process is limited to ",
                ", of which it has mapped ",
                ": raise RLIMIT_DATA (ulimit -d), allocate less, or close regions"),
        RLIMIT_MEMLOCK(
                "Max locked memory",
                "VmLck:",
                "mlockall(MCL_FUTURE) locks all new memory, and this process may lock ",
                ", of which it has locked ",
                ": raise RLIMIT_MEMLOCK (ulimit -l), or allocate less");

        private final String limit;
        private final String used;
        private final String limitText;
        private final String usedText;
        private final String remedy;

        ProcessLimit(String limit, String used, String limitText, String usedText, String remedy) {
            this.limit = limit;
            this.used = used;
            this.limitText = limitText;
            this.usedText = usedText;
            this.remedy = remedy;
        }
    }

    /** What cannot be read; also a limit that is {@code unlimited}. */
    private static final long UNKNOWN = -1;

    /** Values of {@code vm.overcommit_memory}. */
    private static final int OVERCOMMIT_GUESS = 0;

    private static final int OVERCOMMIT_NEVER = 2;

    private final ProcSelf proc;

    MemoryLimits(ProcSelf proc) {
        this.proc = proc;
    }

    /** Compares the limits in the order in which the kernel does; returns null if none is exceeded. */
    @Nullable
    KsmException exceededBy(FailedCall call) {
        if (call.kind() == FailedCall.Kind.MMAP) {
            if (call.errno() == Linux.EAGAIN) {
                // mmap(2) returns EAGAIN only if it cannot lock the new memory.
                return processLimit(ProcessLimit.RLIMIT_MEMLOCK, call);
            }
            KsmException exceeded = addressSpace(call);
            return exceeded == null ? writableMemory(call) : exceeded;
        }
        return call.kind() == FailedCall.Kind.MPROTECT && call.errno() == Linux.ENOMEM ? writableMemory(call) : null;
    }

    private @Nullable KsmException addressSpace(FailedCall call) {
        long gap = largestGap();
        return gap < call.length()
                ? new MemoryLimitExceededException(
                        call,
                        "address space",
                        gap,
                        "the address space of the process has no gap that large: allocate less, or several smaller"
                                + " regions")
                : processLimit(ProcessLimit.RLIMIT_AS, call);
    }

    /** {@return the largest gap below the stack: without an address, the kernel maps nothing above it} */
    private long largestGap() {
        // The last gap is the one above all mappings.
        List<AddressRange> gaps = proc.gaps(new AddressRange(0, Long.MAX_VALUE));
        long largest = 0;
        for (int i = 0; i < gaps.size() - 1; i++) {
            largest = Math.max(largest, gaps.get(i).length());
        }
        return largest;
    }

    /** Memory counts here from when it becomes writable: in regions with guard pages, by mprotect(2). */
    private @Nullable KsmException writableMemory(FailedCall call) {
        KsmException exceeded = processLimit(ProcessLimit.RLIMIT_DATA, call);
        if (exceeded != null) {
            return exceeded;
        }
        long overcommit = number("sys/vm/overcommit_memory", "");
        return overcommit == OVERCOMMIT_GUESS
                ? machine(call)
                : overcommit == OVERCOMMIT_NEVER ? commitLimit(call) : null;
    }

    private @Nullable KsmException processLimit(ProcessLimit of, FailedCall call) {
        long limit = number("self/limits", of.limit);
        long used = kilobytes("self/status", of.used);
        // Nothing is locked unless mlockall(2) is in effect.
        return used <= 0 || isWithin(used, call.length(), limit)
                ? null
                : new MemoryLimitExceededException(
                        call,
                        of.name(),
                        limit,
                        of.limitText + ByteCount.text(limit) + of.usedText + ByteCount.text(used) + of.remedy);
    }

    /** {@return the size of the memory and swap of this machine; the largest number if it cannot be read} */
    long ofMachine() {
        long memory = kilobytes("meminfo", "MemTotal:");
        return memory == UNKNOWN ? Long.MAX_VALUE : memory + Math.max(0, kilobytes("meminfo", "SwapTotal:"));
    }

    private @Nullable KsmException machine(FailedCall call) {
        long all = ofMachine();
        return call.length() <= all
                ? null
                : new MemoryLimitExceededException(
                        call,
                        "vm.overcommit_memory",
                        all,
                        "this machine has " + ByteCount.text(all)
                                + " of memory and swap, and while vm.overcommit_memory is 0, no allocation may be"
                                + " larger: allocate less, or several smaller regions, or set vm.overcommit_memory to"
                                + " 1 if most pages stay unused");
    }

    /** Other processes may free committed memory, so waiting may help unless the length alone exceeds the limit. */
    private @Nullable KsmException commitLimit(FailedCall call) {
        long limit = kilobytes("meminfo", "CommitLimit:");
        long committed = kilobytes("meminfo", "Committed_AS:");
        long allowed = limit == UNKNOWN ? UNKNOWN : Math.max(0, limit - reserve());
        if (isWithin(committed, call.length(), allowed)) {
            return null;
        }
        String exceeded = "while vm.overcommit_memory is 2, all processes together may have " + ByteCount.text(limit)
                + " (CommitLimit of /proc/meminfo), of which " + ByteCount.text(committed) + " are taken: ";
        String remedy = "allocate less, add swap, or raise vm.overcommit_ratio";
        return call.length() > allowed
                ? new MemoryLimitExceededException(call, "vm.overcommit_memory", limit, exceeded + remedy)
                : new ResourceUnavailableException(
                        call, exceeded + "try again when other processes have ended, or " + remedy);
    }

    /** {@return what the kernel keeps for root, and for processes other than this one} */
    private long reserve() {
        long forRoot = Math.max(0, kilobytes("sys/vm/admin_reserve_kbytes", ""));
        long forUser = Math.max(0, kilobytes("sys/vm/user_reserve_kbytes", ""));
        return forRoot + Math.min(forUser, Math.max(0, kilobytes("self/status", "VmSize:")) / 32);
    }

    private static boolean isWithin(long used, long more, long limit) {
        return used == UNKNOWN || limit < 0 || more <= limit - used;
    }

    private long kilobytes(String file, String name) {
        long number = number(file, name);
        return number == UNKNOWN ? UNKNOWN : Math.min(number, Long.MAX_VALUE >> 11) << 10;
    }

    /** {@return the number after a name at the start of a line} */
    private long number(String file, String name) {
        try (BufferedReader reader = proc.open(file)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (line.startsWith(name)) {
                    return number(line, name.length());
                }
            }
        } catch (IOException e) {
            // Treated like a missing line.
        }
        return UNKNOWN;
    }

    private static long number(String line, int from) {
        int start = from;
        while (start < line.length() && line.charAt(start) <= ' ') {
            start++;
        }
        long number = UNKNOWN;
        for (int i = start; i < line.length() && line.charAt(i) >= '0' && line.charAt(i) <= '9'; i++) {
            if (number > Long.MAX_VALUE / 10 - 1) {
                return Long.MAX_VALUE;
            }
            number = Math.max(0, number) * 10 + line.charAt(i) - '0';
        }
        return number;
    }
}
