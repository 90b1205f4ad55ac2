// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ksm4j.internal.linux.Linux;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BatchAdviceTest {

    private static final long ADDRESS = 0x10000000L;

    private final ScriptedBackend backend = new ScriptedBackend();
    private final Kernel kernel = new Kernel(backend);

    /** Advises as a change of many regions does. */
    private void advise(List<AddressRange> ranges, int advice) {
        NativeBuffers.NativeBuffer buffer = kernel.batchAdvice.bufferFor(ranges.size());
        FailedCall failed = kernel.batchAdvice.advise(ranges, advice, buffer);
        kernel.batchAdvice.giveBack(buffer);
        if (failed != null) {
            throw kernel.explain(failed);
        }
    }

    static List<AddressRange> ranges(int count) {
        List<AddressRange> ranges = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            ranges.add(new AddressRange(ADDRESS + i * 0x2000L, 0x1000));
        }
        return ranges;
    }

    /** {@return the calls that advise the ranges one by one} */
    static List<String> singly(int advice, List<AddressRange> ranges) {
        return ranges.stream()
                .map(range -> "madvise " + advice + " " + Long.toHexString(range.start()) + "-"
                        + Long.toHexString(range.end()))
                .toList();
    }

    @Test
    void advisesManyRangesWithOneCall() {
        advise(ranges(3), Linux.MADV_MERGEABLE);
        assertThat(backend.calls)
                .containsExactly("process_madvise " + Linux.PIDFD_SELF
                        + " 12 [10000000-10001000, 10002000-10003000, 10004000-10005000]");
    }

    @Test
    void advisesOneRangeWithMadviseAndMakesNoCallForNone() {
        advise(ranges(1), Linux.MADV_UNMERGEABLE);
        assertThat(backend.calls).containsExactly("madvise 13 10000000-10001000");
        advise(List.of(), Linux.MADV_UNMERGEABLE);
        assertThat(backend.calls).hasSize(1);
    }

    @ParameterizedTest
    @ValueSource(ints = {1024, 1025, 2048, 2500})
    void advisesUpTo1024RangesWithEachCall(int count) {
        advise(ranges(count), Linux.MADV_MERGEABLE);
        assertThat(backend.calls.size()).isEqualTo((count + 1023) / 1024);
        List<String> advised = new ArrayList<>();
        for (String call : backend.calls) {
            List<String> ranges = Arrays.asList(
                    call.substring(call.indexOf('[') + 1, call.length() - 1).split(", ", -1));
            assertThat(ranges.size()).isLessThanOrEqualTo(1024);
            advised.addAll(ranges);
        }
        assertThat(advised)
                .isEqualTo(ranges(count).stream()
                        .map(range -> Long.toHexString(range.start()) + "-" + Long.toHexString(range.end()))
                        .toList());
    }

    @Test
    void advisesTheRangeAloneWhereTheKernelStopsAndThenTheRest() {
        backend.answer("process_madvise", 0x2000);
        advise(ranges(5), Linux.MADV_MERGEABLE);
        assertThat(backend.calls)
                .containsExactly(
                        "process_madvise " + Linux.PIDFD_SELF
                                + " 12 [10000000-10001000, 10002000-10003000, 10004000-10005000,"
                                + " 10006000-10007000, 10008000-10009000]",
                        "madvise 12 10004000-10005000",
                        "process_madvise " + Linux.PIDFD_SELF + " 12 [10006000-10007000, 10008000-10009000]");
    }

    @Test
    void reportsTheFailureOfTheRangeWhereTheKernelStopped() {
        backend.answer("process_madvise", 0x1000).answer("madvise 12", -Linux.EPERM);
        KsmException failure = catchThrowableOfType(KsmException.class, () -> advise(ranges(3), Linux.MADV_MERGEABLE));
        assertThat(failure).isInstanceOf(KsmPermissionException.class);
        assertThat(failure.failedCall().orElseThrow().name()).isEqualTo("madvise(MADV_MERGEABLE)");
        assertThat(failure.failedCall().orElseThrow().range())
                .hasValue(ranges(3).get(1));
    }

    @ParameterizedTest
    @ValueSource(ints = {Linux.EINVAL, Linux.ENOSYS, Linux.EPERM})
    void neverTriesABatchAgainOnceRefused(int errno) {
        backend.answer("process_madvise", -errno);
        advise(ranges(3), Linux.MADV_MERGEABLE);
        advise(ranges(2), Linux.MADV_UNMERGEABLE);
        assertThat(backend.calls("process_madvise")).hasSize(1);
        assertThat(backend.calls("madvise 12")).isEqualTo(singly(12, ranges(3)));
        assertThat(backend.calls("madvise 13")).isEqualTo(singly(13, ranges(2)));
    }

    @Test
    void aSingleCallFailsLikeABatch() {
        backend.answer("process_madvise", -Linux.ENOSYS).answer("madvise 12", 0, -Linux.EPERM);
        assertThatThrownBy(() -> advise(ranges(3), Linux.MADV_MERGEABLE))
                .isInstanceOf(KsmPermissionException.class)
                .hasMessageContaining("10002000-10003000");
        assertThat(backend.calls("madvise 12")).hasSize(2);
    }

    @Test
    void triesBatchesAgainIfTheFirstRangeWasAtFault() {
        backend.answer("process_madvise", -Linux.EPERM).answer("madvise 12", -Linux.EPERM);
        assertThatThrownBy(() -> advise(ranges(3), Linux.MADV_MERGEABLE)).isInstanceOf(KsmPermissionException.class);
        advise(ranges(3), Linux.MADV_MERGEABLE);
        assertThat(backend.calls("process_madvise")).hasSize(2);
    }

    @Test
    void opensAPidfdOnceForAKernelWithoutPidfdSelf() {
        backend.answer("process_madvise", -Linux.EBADF).answer("syscall 434", 77);
        advise(ranges(2), Linux.MADV_MERGEABLE);
        advise(ranges(3), Linux.MADV_MERGEABLE);
        assertThat(backend.calls("syscall 434"))
                .containsExactly("syscall 434 " + ProcessHandle.current().pid());
        assertThat(backend.calls("process_madvise"))
                .hasSize(3)
                .element(0)
                .asString()
                .startsWith("process_madvise " + Linux.PIDFD_SELF);
        assertThat(backend.calls("process_madvise").subList(1, 3))
                .allSatisfy(call -> assertThat(call).startsWith("process_madvise 77 "));
        assertThat(backend.calls("madvise 12")).isEmpty();
    }

    @Test
    void advisesOneByOneWithoutPidfds() {
        backend.answer("process_madvise", -Linux.EBADF).answer("syscall 434", -Linux.ENOSYS);
        advise(ranges(3), Linux.MADV_MERGEABLE);
        assertThat(backend.calls("madvise 12")).isEqualTo(singly(12, ranges(3)));
    }

    @Test
    void advisesOneByOneIfAPidfdDoesNotHelp() {
        backend.answer("process_madvise", -Linux.EBADF, -Linux.EPERM).answer("syscall 434", 77);
        advise(ranges(3), Linux.MADV_MERGEABLE);
        assertThat(backend.calls("madvise 12")).isEqualTo(singly(12, ranges(3)));
    }

    @Test
    void triesBatchesAgainAfterARangeThatIsTooLongForThem() {
        List<AddressRange> ranges =
                List.of(new AddressRange(0x10_0000_0000L, 3L << 30), new AddressRange(0x20_0000_0000L, 4096));
        backend.answer("process_madvise", 0);
        advise(ranges, Linux.MADV_MERGEABLE);
        advise(ranges(2), Linux.MADV_MERGEABLE);
        assertThat(backend.calls("process_madvise")).hasSize(3);
    }
}
