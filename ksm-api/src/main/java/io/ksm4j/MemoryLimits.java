package io.ksm4j;

import io.ksm4j.internal.ByteCount;
import io.ksm4j.internal.linux.Linux;
import java.io.BufferedReader;
import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which limit keeps the kernel from mapping more memory, found by comparing its numbers in {@code /proc}: those of the process
 * (getrlimit(2), proc_pid_status(5)), and of the machine (proc_meminfo(5), {@code Documentation/mm/overcommit-accounting.rst}).
 *
 * <p>What cannot be read limits nothing. On the way from a failed call to its exception: see {@link ClassPreloader}.
 */
final class MemoryLimits {

    /** Also of a limit that is {@code unlimited}. */
    private static final long UNKNOWN = -1;

    private static final int GUESS = 0;
    private static final int NEVER = 2;

    private final ProcSelf proc;

    MemoryLimits(ProcSelf proc) {
        this.proc = proc;
    }

    /** Looks in the order in which the kernel does; null if no limit is in the way. */
    @Nullable
    KsmException exceededBy(FailedCall call) {
        long length = call.length();
        if (call.kind() == FailedCall.Kind.MMAP) {
            if (call.errno() == Linux.EAGAIN) {
                return lockedMemory(call, length);
            }
            KsmException exceeded = addressSpace(call, length);
            return exceeded == null ? writableMemory(call, length) : exceeded;
        }
        return call.kind() == FailedCall.Kind.MPROTECT && call.errno() == Linux.ENOMEM
                ? writableMemory(call, length)
                : null;
    }

    /** The one cause of an EAGAIN of mmap(2): memory is locked as it is mapped. */
    private @Nullable KsmException lockedMemory(FailedCall call, long length) {
        long limit = number("self/limits", "Max locked memory");
        long locked = kilobytes("self/status", "VmLck:");
        // Where all new memory is locked, some is locked already.
        return locked <= 0 || isWithin(locked, length, limit)
                ? null
                : new MemoryLimitExceededException(
                        call,
                        "RLIMIT_MEMLOCK",
                        limit,
                        "mlockall(MCL_FUTURE) locks all new memory, and this process may lock " + ByteCount.text(limit)
                                + ", of which it has locked " + ByteCount.text(locked)
                                + ": raise RLIMIT_MEMLOCK (ulimit -l), or allocate less");
    }

    private @Nullable KsmException addressSpace(FailedCall call, long length) {
        long gap = largestGap();
        if (gap < length) {
            return new MemoryLimitExceededException(
                    call,
                    "address space",
                    gap,
                    "the address space of the process has no gap that large: allocate less, or several smaller regions");
        }
        long limit = number("self/limits", "Max address space");
        long used = kilobytes("self/status", "VmSize:");
        return isWithin(used, length, limit)
                ? null
                : new MemoryLimitExceededException(
                        call,
                        "RLIMIT_AS",
                        limit,
                        "the address space of this process is limited to " + ByteCount.text(limit)
                                + ", of which it has mapped " + ByteCount.text(used)
                                + ": raise RLIMIT_AS (ulimit -v), allocate less, or close regions");
    }

    /** Below the stack: the kernel maps nothing above it unless it is told where. */
    private long largestGap() {
        // The last gap is the one above all mappings.
        List<AddressRange> gaps = proc.gaps(new AddressRange(0, Long.MAX_VALUE));
        long largest = 0;
        for (int i = 0; i < gaps.size() - 1; i++) {
            largest = Math.max(largest, gaps.get(i).length());
        }
        return largest;
    }

    /** What counts from when memory becomes writable, for regions with guard pages with mprotect(2). */
    private @Nullable KsmException writableMemory(FailedCall call, long length) {
        long limit = number("self/limits", "Max data size");
        long used = kilobytes("self/status", "VmData:");
        if (!isWithin(used, length, limit)) {
            return new MemoryLimitExceededException(
                    call,
                    "RLIMIT_DATA",
                    limit,
                    "the writable private memory of this process is limited to " + ByteCount.text(limit)
                            + ", of which it has mapped " + ByteCount.text(used)
                            + ": raise RLIMIT_DATA (ulimit -d), allocate less, or close regions");
        }
        long overcommit = number("sys/vm/overcommit_memory", "");
        return overcommit == GUESS ? machine(call, length) : overcommit == NEVER ? commitLimit(call, length) : null;
    }

    private @Nullable KsmException machine(FailedCall call, long length) {
        long memory = kilobytes("meminfo", "MemTotal:");
        long all = memory + Math.max(0, kilobytes("meminfo", "SwapTotal:"));
        return memory == UNKNOWN || length <= all
                ? null
                : new MemoryLimitExceededException(
                        call,
                        "vm.overcommit_memory",
                        all,
                        "this machine has " + ByteCount.text(all)
                                + " of memory and swap, and while vm.overcommit_memory is 0, no allocation may be larger:"
                                + " allocate less, or several smaller regions, or set vm.overcommit_memory to 1 if most"
                                + " pages stay unused");
    }

    /** Other processes may give back what is committed to them, so that waiting helps up to the limit. */
    private @Nullable KsmException commitLimit(FailedCall call, long length) {
        long limit = kilobytes("meminfo", "CommitLimit:");
        long committed = kilobytes("meminfo", "Committed_AS:");
        long allowed = limit == UNKNOWN ? UNKNOWN : Math.max(0, limit - reserve());
        if (isWithin(committed, length, allowed)) {
            return null;
        }
        String most = "while vm.overcommit_memory is 2, all processes together may have " + ByteCount.text(limit)
                + " (CommitLimit of /proc/meminfo), of which " + ByteCount.text(committed) + " are taken: ";
        String cure = "allocate less, add swap, or raise vm.overcommit_ratio";
        return length > allowed
                ? new MemoryLimitExceededException(call, "vm.overcommit_memory", limit, most + cure)
                : new ResourceUnavailableException(
                        call, most + "try again when other processes have ended, or " + cure);
    }

    /** What the kernel keeps for root, and for another process than this one. */
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

    /** The number that follows a name at the start of a line. */
    private long number(String file, String name) {
        try (BufferedReader reader = proc.open(file)) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                if (line.startsWith(name)) {
                    return number(line, name.length());
                }
            }
        } catch (IOException e) {
            // As if it were not there.
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
