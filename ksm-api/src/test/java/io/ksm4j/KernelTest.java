// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ksm4j.internal.linux.Linux;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.LongStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class KernelTest {

    private static final long ADDRESS = 0x10000000L;
    private static final long LENGTH = 0x3000;
    private static final AddressRange RANGE = new AddressRange(ADDRESS, LENGTH);

    private static final int EIO = 5;

    /** The first call and one for each pause. */
    private static final int ATTEMPTS = 5;

    /** The calls whose failures are explained, with their names in exceptions. */
    enum Call {
        MMAP("mmap", "mmap of 12288 bytes"),
        MUNMAP("munmap", "munmap"),
        MPROTECT("mprotect", "mprotect"),
        MARK("madvise 12", "madvise(MADV_MERGEABLE)"),
        UNMARK("madvise 13", "madvise(MADV_UNMERGEABLE)"),
        POPULATE("madvise 23", "madvise(MADV_POPULATE_WRITE)"),
        GET_PROCESS("prctl 68", "prctl(PR_GET_MEMORY_MERGE)"),
        SET_PROCESS("prctl 67", "prctl(PR_SET_MEMORY_MERGE)");

        final String function;
        final String name;

        Call(String function, String name) {
            this.function = function;
            this.name = name;
        }

        boolean hasRange() {
            return this != MMAP && this != GET_PROCESS && this != SET_PROCESS;
        }

        void run(Kernel kernel) {
            switch (this) {
                case MMAP -> kernel.mmap(LENGTH, Linux.PROT_READ);
                case MUNMAP -> memory(kernel).unmap();
                case MPROTECT -> kernel.mprotect(ADDRESS, LENGTH, Linux.PROT_READ);
                case MARK -> kernel.madvise(ADDRESS, LENGTH, Linux.MADV_MERGEABLE);
                case UNMARK -> kernel.madvise(ADDRESS, LENGTH, Linux.MADV_UNMERGEABLE);
                case POPULATE -> kernel.madvise(ADDRESS, LENGTH, Linux.MADV_POPULATE_WRITE);
                case GET_PROCESS -> kernel.prctl("PR_GET_MEMORY_MERGE", Linux.PR_GET_MEMORY_MERGE, 0);
                case SET_PROCESS -> kernel.prctl("PR_SET_MEMORY_MERGE", Linux.PR_SET_MEMORY_MERGE, 1);
            }
        }
    }

    /** The range, as if it had been mapped. */
    private static MappedMemory memory(Kernel kernel) {
        ScriptedBackend backend = (ScriptedBackend) kernel.backend;
        backend.answer("mmap", ADDRESS);
        MappedMemory memory = MappedMemory.map(kernel, LENGTH, Linux.PROT_NONE);
        backend.calls.remove(backend.calls.size() - 1);
        return memory;
    }

    @TempDir
    Path proc;

    private final ScriptedBackend backend = new ScriptedBackend();
    private Kernel kernel;

    @BeforeEach
    void mapTheRange() throws IOException {
        Files.createDirectories(proc.resolve("self"));
        Files.createDirectories(proc.resolve("sys/vm"));
        map("10000000-10003000");
        limitMappings(65530);
        kernel = new Kernel(backend, new ProcSelf(proc));
    }

    private void map(String... ranges) throws IOException {
        StringBuilder maps = new StringBuilder();
        for (String range : ranges) {
            maps.append(range).append(" rw-p 00000000 00:00 0\n");
        }
        Files.writeString(proc.resolve("self/maps"), maps);
    }

    private void limitMappings(long limit) throws IOException {
        Files.writeString(proc.resolve("sys/vm/max_map_count"), limit + "\n");
    }

    private static long[] times(int count, long answer) {
        return LongStream.generate(() -> answer).limit(count).toArray();
    }

    /** Runs the call and checks what every failure must contain. */
    private KsmException failure(Call call, int errno) {
        KsmException failure = catchThrowableOfType(KsmException.class, () -> call.run(kernel));
        assertThat(failure).as("failure of %s", call).isNotNull();
        FailedCall failedCall = failure.failedCall().orElseThrow();
        assertThat(failedCall.errno()).isEqualTo(errno);
        assertThat(failedCall.name()).isEqualTo(call.name);
        if (call.hasRange()) {
            assertThat(failedCall.range()).hasValue(RANGE);
        } else {
            assertThat(failedCall.range()).isEmpty();
        }
        assertThat(failure)
                .hasMessageStartingWith(failedCall.toString())
                .hasMessageContaining(call.name)
                .hasMessageContaining("failed with " + Linux.errnoName(errno));
        return failure;
    }

    // ---- Causes

    @ParameterizedTest
    @EnumSource
    void makesASuccessfulCallOnce(Call call) {
        call.run(kernel);
        assertThat(backend.calls).singleElement().asString().startsWith(call.function);
    }

    @ParameterizedTest
    @EnumSource
    void permissionErrorsAreNotRetried(Call call) {
        for (int errno : new int[] {Linux.EPERM, Linux.EACCES}) {
            backend.answer(call.function, -errno);
            assertThat(failure(call, errno))
                    .isInstanceOf(KsmPermissionException.class)
                    .hasMessageContaining("seccomp")
                    .extracting(KsmException::mayRetry)
                    .isEqualTo(false);
        }
        assertThat(backend.calls(call.function)).hasSize(2);
    }

    @ParameterizedTest
    @EnumSource
    void aMissingSystemCallIsNotRetried(Call call) {
        backend.answer(call.function, -Linux.ENOSYS);
        assertThat(failure(call, Linux.ENOSYS))
                .isInstanceOf(KsmUnsupportedException.class)
                .hasMessageContaining("does not have this system call");
        assertThat(backend.calls(call.function)).hasSize(1);
    }

    @ParameterizedTest
    @EnumSource
    void otherErrorsAreNotRetried(Call call) {
        backend.answer(call.function, -EIO);
        assertThat(failure(call, EIO)).isExactlyInstanceOf(KsmException.class);
        backend.answer(call.function, -133);
        assertThat(failure(call, 133)).isExactlyInstanceOf(KsmException.class).hasMessageContaining("errno 133");
        assertThat(backend.calls(call.function)).hasSize(2);
    }

    @ParameterizedTest
    @EnumSource
    void shortMemoryIsRetriedAFewTimes(Call call) {
        for (int errno : new int[] {Linux.EAGAIN, Linux.ENOMEM}) {
            backend.calls.clear();
            backend.answer(call.function, times(ATTEMPTS, -errno));
            assertThat(failure(call, errno))
                    .isInstanceOf(ResourceUnavailableException.class)
                    .hasMessageContaining("memory is short")
                    .extracting(KsmException::mayRetry)
                    .isEqualTo(true);
            assertThat(backend.calls(call.function)).hasSize(ATTEMPTS);
        }
    }

    @ParameterizedTest
    @EnumSource
    void succeedsWhenMemoryBecomesAvailable(Call call) {
        backend.answer(call.function, -Linux.EAGAIN, -Linux.ENOMEM, -Linux.EAGAIN, -Linux.EAGAIN);
        assertThatCode(() -> call.run(kernel)).doesNotThrowAnyException();
        assertThat(backend.calls(call.function)).hasSize(ATTEMPTS);
    }

    @ParameterizedTest
    @EnumSource
    void explainsAFailureAfterARetryByItsOwnErrno(Call call) {
        backend.answer(call.function, -Linux.EAGAIN, -Linux.EPERM);
        assertThat(failure(call, Linux.EPERM)).isInstanceOf(KsmPermissionException.class);
        assertThat(backend.calls(call.function)).hasSize(2);
    }

    @ParameterizedTest
    @EnumSource
    void theMappingLimitIsNotRetried(Call call) throws IOException {
        map("10000000-10003000", "10004000-10005000", "10006000-10007000");
        for (long limit : new long[] {2, 3, 4}) {
            limitMappings(limit);
            for (int errno : new int[] {Linux.EAGAIN, Linux.ENOMEM}) {
                backend.calls.clear();
                backend.answer(call.function, -errno);
                KsmException failure = failure(call, errno);
                assertThat(failure)
                        .isInstanceOf(MapCountExceededException.class)
                        .hasMessageContaining("3 mappings")
                        .hasMessageContaining("vm.max_map_count is " + limit)
                        .hasMessageContaining("sysctl vm.max_map_count=" + 4 * limit);
                assertThat(failure.mayRetry()).isFalse();
                MapCountExceededException exceeded = (MapCountExceededException) failure;
                assertThat(exceeded.count()).isEqualTo(3);
                assertThat(exceeded.limit()).isEqualTo(limit);
                assertThat(backend.calls(call.function)).hasSize(1);
            }
        }
    }

    @Test
    void farFromTheMappingLimitMemoryIsShort() throws IOException {
        limitMappings(3);
        backend.answer("madvise 12", times(ATTEMPTS, -Linux.EAGAIN));
        assertThat(failure(Call.MARK, Linux.EAGAIN)).isInstanceOf(ResourceUnavailableException.class);
    }

    @Test
    void anUnreadableMappingLimitIsNotTheCause() throws IOException {
        Files.delete(proc.resolve("sys/vm/max_map_count"));
        backend.answer("madvise 12", times(ATTEMPTS, -Linux.EAGAIN));
        assertThat(failure(Call.MARK, Linux.EAGAIN)).isInstanceOf(ResourceUnavailableException.class);
    }

    @ParameterizedTest
    @EnumSource(names = {"MARK", "UNMARK"})
    void detectsAKernelWithoutKsm(Call call) {
        backend.answer(call.function, -Linux.EINVAL).answer("madvise 12", -Linux.EINVAL);
        assertThat(failure(call, Linux.EINVAL))
                .isInstanceOf(KsmUnsupportedException.class)
                .hasMessageContaining("CONFIG_KSM")
                .hasMessageContaining("systemOrFallback");
        assertThat(backend.calls("mmap")).as("the page for the probe").hasSize(1);
        assertThat(backend.calls("munmap")).hasSize(1);
    }

    @ParameterizedTest
    @EnumSource(names = {"MARK", "UNMARK"})
    void aRefusedRangeIsInvalidIfTheKernelHasKsm(Call call) {
        backend.answer(call.function, -Linux.EINVAL);
        assertThat(failure(call, Linux.EINVAL))
                .isInstanceOf(InvalidRangeException.class)
                .hasMessageContaining("no mapping of this process can lie there");
        assertThat(backend.calls("munmap")).as("the page for the probe").hasSize(1);
    }

    @ParameterizedTest
    @EnumSource(names = {"MUNMAP", "MPROTECT", "POPULATE"})
    void otherRefusedRangesAreInvalidWithoutAProbe(Call call) {
        backend.answer(call.function, -Linux.EINVAL);
        assertThat(failure(call, Linux.EINVAL)).isInstanceOf(InvalidRangeException.class);
        assertThat(backend.calls("madvise 12")).as("no probe").isEmpty();
    }

    @ParameterizedTest
    @EnumSource(names = {"GET_PROCESS", "SET_PROCESS"})
    void detectsAKernelThatCannotOptAProcessIn(Call call) {
        backend.answer(call.function, -Linux.EINVAL);
        assertThat(failure(call, Linux.EINVAL))
                .isInstanceOf(KsmUnsupportedException.class)
                .hasMessageContaining("6.4");
    }

    @Test
    void refusedArgumentsOfMmapNameNoRange() {
        backend.answer("mmap", -Linux.EINVAL);
        assertThat(failure(Call.MMAP, Linux.EINVAL)).isExactlyInstanceOf(KsmException.class);
    }

    @ParameterizedTest
    @EnumSource(names = {"MARK", "UNMARK", "POPULATE"})
    void gapsAreNamedAndNotRetried(Call call) throws IOException {
        map("10001000-10002000");
        backend.answer(call.function, -Linux.ENOMEM);
        KsmException failure = failure(call, Linux.ENOMEM);
        assertThat(failure)
                .isInstanceOf(UnmappedRangeException.class)
                .hasMessageContaining("10000000-10001000 (4 KiB), 10002000-10003000 (4 KiB)");
        assertThat(((UnmappedRangeException) failure).gaps())
                .containsExactly(new AddressRange(0x10000000L, 0x1000), new AddressRange(0x10002000L, 0x1000));
        assertThat(backend.calls(call.function)).hasSize(1);
    }

    private String unmapped(Call call) {
        backend.answer(call.function, -Linux.ENOMEM);
        KsmException failure = failure(call, Linux.ENOMEM);
        assertThat(failure).isInstanceOf(UnmappedRangeException.class);
        return failure.getMessage();
    }

    @Test
    void theMessageSaysThatMappedPartsCanBeChanged() throws IOException {
        map("10001000-10002000");
        assertThat(unmapped(Call.MARK)).contains("the mapped rest is unchanged: adopt the mapped parts separately");
        assertThat(unmapped(Call.UNMARK))
                .contains("the mapped rest is unchanged: unmark the mapped parts separately, or close");
        assertThat(unmapped(Call.POPULATE)).endsWith("parts of the region's memory have been unmapped, so close it");
    }

    @Test
    void theMessageMentionsNoPartsWhereNothingIsMapped() throws IOException {
        map("20000000-20001000");
        assertThat(unmapped(Call.MARK)).contains("the range is not mapped: check the address");
        assertThat(unmapped(Call.UNMARK)).contains("the range is not mapped").endsWith("so close the region");
        assertThat(unmapped(Call.POPULATE)).contains("the range is not mapped").endsWith("so close the region");
    }

    @Test
    void theMessageSaysWhatIsMergeableInAnOptedInProcess() throws IOException {
        map("10001000-10002000");
        backend.answer("prctl 68", 1, 1);
        assertThat(unmapped(Call.MARK))
                .contains("the mapped rest is mergeable now")
                .contains("adopt the mapped parts");
        assertThat(unmapped(Call.UNMARK))
                .contains("the mapped rest is mergeable only where a region is marked")
                .contains("unmark the mapped parts");
    }

    @Test
    void gapsAreTheCauseEvenAtTheMappingLimit() throws IOException {
        map("10001000-10002000");
        limitMappings(1);
        backend.answer("madvise 12", -Linux.ENOMEM);
        assertThat(failure(Call.MARK, Linux.ENOMEM)).isInstanceOf(UnmappedRangeException.class);
    }

    @Test
    void theMessageSaysThatTheCauseCouldNotBeFound() throws IOException {
        Files.delete(proc.resolve("self/maps"));
        backend.answer("madvise 12", -Linux.ENOMEM);
        KsmException failure = failure(Call.MARK, Linux.ENOMEM);
        assertThat(failure).isExactlyInstanceOf(KsmException.class).hasMessageContaining("could not be found");
        assertThat(failure.getSuppressed()).hasSize(1);
    }

    // ---- Limits of memory

    @Test
    void withoutNativeCodeTheJvmLimitsMemory() {
        Kernel direct = new Kernel(new FallbackBackend(new DirectBufferBackend(), "a test"), new ProcSelf(proc));
        FailedCall mmap = FailedCall.mmap(4096, Linux.ENOMEM);
        assertThat(direct.explain(mmap))
                .isInstanceOf(ResourceUnavailableException.class)
                .hasMessageContaining("-XX:MaxDirectMemorySize");
        Kernel mapped = new Kernel(new FallbackBackend(backend, "a test"), new ProcSelf(proc));
        assertThat(mapped.explain(mmap)).hasMessageContaining("memory is short");
    }

    private static final long MIB = 1 << 20;
    private static final long GIB = 1 << 30;

    /**
     * A process with 3 GiB of address space, 2 GiB of data and 1 MiB locked, on a machine with 24 GiB of memory and
     * swap.
     */
    private void writeLimits(String name, String softLimit) throws IOException {
        Files.writeString(
                proc.resolve("self/limits"),
                "Limit                     Soft Limit           Hard Limit           Units     \n"
                        + limit("Max data size", name, softLimit)
                        + limit("Max locked memory", name, softLimit)
                        + limit("Max address space", name, softLimit));
        Files.writeString(
                proc.resolve("self/status"),
                "Name:\tjava\nVmPeak:\t 9999999 kB\nVmSize:\t 3145728 kB\nVmLck:\t    1024 kB\nVmData:\t 2097152 kB\n");
        Files.writeString(proc.resolve("meminfo"), """
                MemTotal:       16777216 kB
                SwapTotal:       8388608 kB
                CommitLimit:    12582912 kB
                Committed_AS:    8388608 kB
                """);
        overcommit(1);
        map("7f0000000000-7f0000001000");
    }

    private static String limit(String name, String limited, String softLimit) {
        return String.format(
                "%-26s%-21s%-21sbytes     \n", name, name.equals(limited) ? softLimit : "unlimited", "unlimited");
    }

    private void overcommit(int mode) throws IOException {
        Files.writeString(proc.resolve("sys/vm/overcommit_memory"), mode + "\n");
    }

    private KsmException failedMmap(long length, int errno) {
        backend.calls.clear();
        backend.answer("mmap", -errno);
        return catchThrowableOfType(KsmException.class, () -> kernel.mmap(length, Linux.PROT_READ));
    }

    private KsmException failedMprotect(long length) throws IOException {
        map("100000000-700000000", "7f0000000000-7f0000001000");
        backend.calls.clear();
        backend.answer("mprotect", -Linux.ENOMEM);
        return catchThrowableOfType(
                KsmException.class, () -> kernel.mprotect(0x100000000L, length, Linux.PROT_READ | Linux.PROT_WRITE));
    }

    private void assertLimited(KsmException failure, String by, long limit, String... words) {
        assertThat(failure).isInstanceOf(MemoryLimitExceededException.class);
        assertThat(words).allSatisfy(word -> assertThat(failure).hasMessageContaining(word));
        assertThat(failure.mayRetry()).isFalse();
        MemoryLimitExceededException exceeded = (MemoryLimitExceededException) failure;
        assertThat(exceeded.limitedBy()).isEqualTo(by);
        assertThat(exceeded.limitBytes()).isEqualTo(limit);
        assertThat(backend.calls).as("not retried").hasSize(1);
    }

    /** Checks that the call is retried; the second attempt succeeds. */
    private void assertNotLimited(long length, int errno) {
        assertThat(failedMmap(length, errno)).isNull();
        assertThat(backend.calls("mmap")).hasSize(2);
    }

    @Test
    void theLimitOfTheAddressSpace() throws IOException {
        writeLimits("Max address space", "4294967296");
        assertNotLimited(GIB, Linux.ENOMEM);
        assertLimited(
                failedMmap(GIB + 1, Linux.ENOMEM),
                "RLIMIT_AS",
                4 * GIB,
                "4.0 GiB, of which it has mapped 3.0 GiB",
                "ulimit -v");
        assertNotLimited(GIB + 1, Linux.EAGAIN);
    }

    @Test
    void theLimitOfWritableMemory() throws IOException {
        writeLimits("Max data size", "4294967296");
        assertNotLimited(2 * GIB, Linux.ENOMEM);
        assertLimited(
                failedMmap(2 * GIB + 1, Linux.ENOMEM),
                "RLIMIT_DATA",
                4 * GIB,
                "4.0 GiB, of which it has mapped 2.0 GiB",
                "ulimit -d");
        assertLimited(failedMprotect(2 * GIB + 4096), "RLIMIT_DATA", 4 * GIB);
    }

    @Test
    void theLimitOfLockedMemory() throws IOException {
        writeLimits("Max locked memory", "8388608");
        assertNotLimited(7 * MIB, Linux.EAGAIN);
        assertLimited(
                failedMmap(7 * MIB + 1, Linux.EAGAIN),
                "RLIMIT_MEMLOCK",
                8 * MIB,
                "8.0 MiB, of which it has locked 1.0 MiB",
                "ulimit -l");
        assertNotLimited(7 * MIB + 1, Linux.ENOMEM);
        Files.writeString(proc.resolve("self/status"), "VmLck:\t    0 kB\n");
        assertNotLimited(9 * MIB, Linux.EAGAIN);
    }

    @Test
    void theLargestGapOfTheAddressSpace() throws IOException {
        writeLimits("", "");
        assertNotLimited(0x7f0000000000L, Linux.ENOMEM);
        assertLimited(failedMmap(0x7f0000000001L, Linux.ENOMEM), "address space", 0x7f0000000000L, "no gap that large");
        assertLimited(failedMmap(1L << 61, Linux.ENOMEM), "address space", 0x7f0000000000L);
    }

    @Test
    void theMemoryOfTheMachine() throws IOException {
        writeLimits("", "");
        overcommit(0);
        assertNotLimited(24 * GIB, Linux.ENOMEM);
        assertLimited(
                failedMmap(24 * GIB + 1, Linux.ENOMEM),
                "vm.overcommit_memory",
                24 * GIB,
                "this machine has 24.0 GiB of memory and swap",
                "vm.overcommit_memory is 0",
                "allocate less");
        assertThat(failedMprotect(24 * GIB)).isNull();
        Files.writeString(proc.resolve("meminfo"), "MemTotal:       8388608 kB\n");
        assertLimited(failedMprotect(24 * GIB), "vm.overcommit_memory", 8 * GIB);
        overcommit(1);
        assertNotLimited(100 * GIB, Linux.ENOMEM);
    }

    @Test
    void theCommitLimit() throws IOException {
        writeLimits("", "");
        overcommit(2);
        assertNotLimited(4 * GIB, Linux.ENOMEM);
        assertLimited(
                failedMmap(12 * GIB + 1, Linux.ENOMEM),
                "vm.overcommit_memory",
                12 * GIB,
                "12.0 GiB (CommitLimit of /proc/meminfo), of which 8.0 GiB are taken",
                "vm.overcommit_ratio");
        backend.answer("mmap", times(ATTEMPTS - 1, -Linux.ENOMEM));
        assertThat(failedMmap(4 * GIB + 1, Linux.ENOMEM))
                .isInstanceOf(ResourceUnavailableException.class)
                .hasMessageContainingAll("CommitLimit", "try again when other processes have ended")
                .extracting(KsmException::mayRetry)
                .isEqualTo(true);
        assertThat(backend.calls("mmap")).hasSize(ATTEMPTS);
    }

    @Test
    void theKernelsReservesReduceTheCommitLimit() throws IOException {
        writeLimits("", "");
        overcommit(2);
        Files.writeString(proc.resolve("sys/vm/admin_reserve_kbytes"), "8192\n");
        Files.writeString(proc.resolve("sys/vm/user_reserve_kbytes"), "131072\n");
        // A 32nd of 3 GiB is less than 128 MiB.
        long reserved = 8 * MIB + 96 * MIB;
        assertNotLimited(4 * GIB - reserved, Linux.ENOMEM);
        assertLimited(failedMmap(12 * GIB - reserved + 1, Linux.ENOMEM), "vm.overcommit_memory", 12 * GIB);
        backend.answer("mmap", times(ATTEMPTS - 1, -Linux.ENOMEM));
        assertThat(failedMmap(4 * GIB - reserved + 1, Linux.ENOMEM)).hasMessageContaining("CommitLimit");
    }

    @Test
    void invalidLimitsAreIgnored() throws IOException {
        writeLimits("Max address space", "99999999999999999999999");
        assertNotLimited(GIB, Linux.ENOMEM);
        writeLimits("Max address space", "x");
        Files.writeString(proc.resolve("meminfo"), "MemTotal:\nMemTotal");
        overcommit(0);
        Files.writeString(proc.resolve("self/status"), "VmSize:\nVmData");
        assertNotLimited(GIB, Linux.ENOMEM);
        Files.writeString(proc.resolve("sys/vm/overcommit_memory"), "");
        assertNotLimited(GIB, Linux.ENOMEM);
    }

    @Test
    void aFailedProbeDoesNotHideTheFirstFailure() {
        backend.answer("madvise 12", -Linux.EINVAL).answer("mmap", -Linux.ENOMEM);
        assertThat(failure(Call.MARK, Linux.EINVAL)).isInstanceOf(InvalidRangeException.class);
    }

    // ---- Unmapping

    @Test
    void dropsPagesNowAndUnmapsLaterIfMunmapFails() {
        backend.answer("munmap", -EIO, -EIO);
        assertThat(failure(Call.MUNMAP, EIO)).isExactlyInstanceOf(KsmException.class);
        assertThat(backend.calls)
                .containsExactly(
                        "munmap 10000000-10003000", "madvise 4 10000000-10003000", "madvise 13 10000000-10003000");

        kernel.unmapDeferred();
        kernel.unmapDeferred();
        kernel.unmapDeferred();
        assertThat(backend.calls("munmap")).as("until it succeeds").hasSize(3);
    }

    @Test
    void undoNeverThrows() {
        backend.answer("madvise 13", -Linux.ENOMEM, -EIO);
        kernel.undo(BatchAdviceTest.ranges(3), Linux.MADV_UNMERGEABLE);
        assertThat(backend.calls("madvise")).isEqualTo(BatchAdviceTest.singly(13, BatchAdviceTest.ranges(3)));
    }

    @Test
    void undoesNothingInAnOptedInProcess() {
        backend.answer("prctl 68", 1);
        kernel.undo(BatchAdviceTest.ranges(3), Linux.MADV_UNMERGEABLE);
        assertThat(backend.calls("madvise")).isEmpty();
    }

    @Test
    void discardsLockedPages() {
        backend.answer("madvise 4", -Linux.EINVAL);
        AddressRange range = BatchAdviceTest.ranges(1).get(0);
        kernel.discard(range.start(), range.length());
        assertThat(backend.calls("madvise")).hasSize(2).last().asString().startsWith("madvise 24 ");
    }
}
