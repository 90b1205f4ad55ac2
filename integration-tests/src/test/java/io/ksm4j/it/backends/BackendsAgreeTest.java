// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.backends;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import io.ksm4j.FailedCall;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MarkNotTakenException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.UnmappedRangeException;
import io.ksm4j.ffm.FfmBackendProvider;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.jna.JnaBackendProvider;
import io.ksm4j.jnr.JnrBackendProvider;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.spi.KsmBackend;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.parallel.ResourceLock;

/** ksm4j behaves in the same way, and reports the same failures, with every backend. */
@EnabledIfKsm
@ResourceLock(Aside.MARKED_MEMORY)
class BackendsAgreeTest {

    private static final List<KsmBackend> BACKENDS =
            List.of(new FfmBackendProvider().open(), new JnrBackendProvider().open(), new JnaBackendProvider().open());

    private static final Ksm FALLBACK = Ksm.fallback();

    private static final int READ_WRITE = 3;
    private static final int PRIVATE_ANONYMOUS = 0x22;
    private static final int SHARED_ANONYMOUS = 0x21;
    private static final int MERGEABLE = 12;
    private static final int UNMERGEABLE = 13;
    private static final long PROCESS_MADVISE = 440;
    private static final long PIDFD_OPEN = 434;
    private static final long CLOSE_RANGE = 436;

    private interface Scenario {
        Object run(Ksm ksm, long page);
    }

    private interface RawCall {
        /** The argument is the address of four pages of private memory. */
        long run(KsmBackend backend, long memory, long page);
    }

    /** Calls for which the fallback behaves in the same way. */
    private static Map<String, Scenario> everywhere() {
        Map<String, Scenario> scenarios = new LinkedHashMap<>();
        scenarios.put("page size", (ksm, page) -> ksm.pageSize());
        for (long size : new long[] {0, -1, 1, 4097, Long.MAX_VALUE, Long.MIN_VALUE}) {
            scenarios.put("allocate " + size, (ksm, page) -> with(ksm.allocate(size), MergeRegion::size));
        }
        scenarios.put(
                "write and read",
                (ksm, page) -> with(ksm.allocate(3 * page), region -> {
                    region.buffer().putLong(8, 0x0102030405060708L);
                    ByteBuffer window = region.buffer(8, 8);
                    return window.order() + " " + window.getLong(0) + " " + window.get(0) + " " + window.capacity()
                            + " " + window.isDirect() + " " + window.isReadOnly();
                }));
        scenarios.put(
                "marks",
                (ksm, page) -> with(ksm.allocate(3 * page, unmergeable()), region -> {
                    String states = region.isMergeable() + " ";
                    region.markMergeable(page, page);
                    states += region.unmarkedRanges().size() + " ";
                    region.markMergeable();
                    states +=
                            region.isMergeable() + " " + region.unmarkedRanges().size() + " ";
                    region.markUnmergeable(0, page);
                    return states + region.isMergeable() + " " + region.unmarkedRanges();
                }));
        scenarios.put(
                "part off a page",
                (ksm, page) -> with(ksm.allocate(page), region -> {
                    region.markMergeable(1, page - 1);
                    return "marked";
                }));
        scenarios.put(
                "part outside",
                (ksm, page) -> with(ksm.allocate(page), region -> {
                    region.markMergeable(page, page);
                    return "marked";
                }));
        scenarios.put("window outside", (ksm, page) -> with(ksm.allocate(page), region -> region.buffer(page, 1)));
        scenarios.put(
                "window too large",
                (ksm, page) -> with(ksm.allocate(page), region -> region.buffer(0, Integer.MAX_VALUE)));
        scenarios.put("view as a string", (ksm, page) -> with(ksm.allocate(page), region -> region.view(String.class)));
        scenarios.put("closed region", (ksm, page) -> {
            MergeRegion region = ksm.allocate(page);
            region.close();
            region.close();
            region.markMergeable();
            return "marked";
        });
        scenarios.put("buffer of a closed region", (ksm, page) -> {
            MergeRegion region = ksm.allocate(page);
            region.close();
            return region.buffer();
        });
        scenarios.put(
                "secret",
                (ksm, page) -> with(ksm.allocate(page, unmergeable().withMarking(Marking.NEVER)), region -> {
                    region.markMergeable();
                    return "marked";
                }));
        scenarios.put("heap buffer", (ksm, page) -> ksm.adopt(ByteBuffer.allocate(10000)));
        scenarios.put(
                "read-only buffer",
                (ksm, page) -> ksm.adopt(ByteBuffer.allocateDirect(10000).asReadOnlyBuffer()));
        scenarios.put("empty buffer", (ksm, page) -> ksm.adopt(ByteBuffer.allocateDirect(0)));
        scenarios.put("small buffer", (ksm, page) -> ksm.adopt(ByteBuffer.allocateDirect(10)));
        scenarios.put("kernel's half", (ksm, page) -> ksm.adopt(-page, page));
        scenarios.put("wrap", (ksm, page) -> ksm.adopt(page, Long.MAX_VALUE));
        scenarios.put("no whole page", (ksm, page) -> ksm.adopt(page + 1, page));
        scenarios.put("dead memory", (ksm, page) -> ksm.adopt(page, page, RegionOptions.DEFAULT, () -> false));
        scenarios.put("process", (ksm, page) -> {
            ksm.process().markMergeable();
            boolean in = ksm.process().isMergeable();
            ksm.process().markUnmergeable();
            return in + " " + ksm.process().isMergeable();
        });
        return scenarios;
    }

    /** Calls that reach the kernel. */
    private static Map<String, Scenario> inKernel() {
        Map<String, Scenario> scenarios = new LinkedHashMap<>();
        scenarios.put("too large for the machine", (ksm, page) -> ksm.allocate(1L << 61));
        scenarios.put("never mapped", (ksm, page) -> ksm.adopt(page, page));
        scenarios.put("beyond user space", (ksm, page) -> ksm.adopt(1L << 62, page));
        scenarios.put("hole", (ksm, page) -> holed(page, start -> ksm.adopt(start, 3 * page)));
        scenarios.put(
                "hole in a batch",
                (ksm, page) -> holed(page, start -> {
                    try (MergeRegion whole = ksm.allocate(page, unmergeable());
                            MergeRegion holed = ksm.adopt(start, 3 * page, unmergeable())) {
                        ksm.markMergeable(List.of(whole, holed));
                        return "marked";
                    }
                }));
        scenarios.put("shared memory", (ksm, page) -> {
            KsmBackend backend = BACKENDS.get(0);
            long start = backend.mmap(2 * page, READ_WRITE, SHARED_ANONYMOUS);
            try {
                return ksm.adopt(start, 2 * page);
            } finally {
                backend.munmap(start, 2 * page);
            }
        });
        scenarios.put("support", (ksm, page) -> ksm.support().canMark());
        scenarios.put(
                "stats",
                (ksm, page) -> with(ksm.allocate(4 * page, unmergeable().withPopulate(true)), MergeRegion::stats));
        return scenarios;
    }

    private static RegionOptions unmergeable() {
        return RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);
    }

    private interface RegionUse {
        Object of(MergeRegion region);
    }

    private static Object with(MergeRegion region, RegionUse use) {
        try (region) {
            return use.of(region);
        }
    }

    private interface AddressUse {
        Object of(long start);
    }

    /** Three pages, of which the second is not mapped. */
    private static Object holed(long page, AddressUse use) {
        KsmBackend backend = BACKENDS.get(0);
        long start = backend.mmap(3 * page, READ_WRITE, PRIVATE_ANONYMOUS);
        assertThat(backend.munmap(start + page, page)).isZero();
        try {
            return use.of(start);
        } finally {
            assertThat(backend.munmap(start, page)).isZero();
            assertThat(backend.munmap(start + 2 * page, page)).isZero();
        }
    }

    @TestFactory
    Stream<DynamicTest> allDoTheSame() {
        return everywhere().entrySet().stream()
                .map(entry -> dynamicTest(entry.getKey(), () -> {
                    String outcome = assertBackendsAgree(entry.getValue());
                    assertThat(outcome(FALLBACK, entry.getValue()))
                            .as("fallback")
                            .isEqualTo(outcome);
                }));
    }

    @TestFactory
    Stream<DynamicTest> allBackendsDoTheSame() {
        return inKernel().entrySet().stream()
                .map(entry -> dynamicTest(entry.getKey(), () -> assertBackendsAgree(entry.getValue())));
    }

    private static String assertBackendsAgree(Scenario scenario) {
        String outcome = outcome(Ksm.with(BACKENDS.get(0)), scenario);
        for (KsmBackend backend : BACKENDS) {
            assertThat(outcome(Ksm.with(backend), scenario)).as(backend.name()).isEqualTo(outcome);
        }
        return outcome;
    }

    /** Everything that a caller sees, except for addresses and the name of the backend, which differ between calls. */
    private static String outcome(Ksm ksm, Scenario scenario) {
        String outcome;
        try {
            outcome = String.valueOf(scenario.run(ksm, ksm.pageSize()));
        } catch (RuntimeException e) {
            outcome = describe(e);
        }
        return outcome.replaceAll("[0-9a-f]{8,16}-[0-9a-f]{8,16}", "RANGE")
                .replace("backend " + ksm.backend() + " ", "backend NAME ");
    }

    private static String describe(RuntimeException e) {
        StringBuilder description = new StringBuilder(e.getClass().getName() + ": " + e.getMessage());
        if (e instanceof KsmException failure) {
            description.append("\nmay retry: ").append(failure.mayRetry());
            failure.failedCall().ifPresent(call -> description.append(describe(call)));
        }
        if (e instanceof UnmappedRangeException unmapped) {
            description.append("\ngaps: ").append(unmapped.gaps());
        }
        if (e instanceof MarkNotTakenException ignored) {
            description.append("\nranges: ").append(ignored.ranges());
        }
        return description + "\ncause: " + e.getCause() + "\nsuppressed: " + List.of(e.getSuppressed());
    }

    private static String describe(FailedCall call) {
        return "\ncall: " + call + ", " + call.name() + ", " + call.errno() + ", " + call.errnoName() + ", "
                + call.range();
    }

    /** Calls that succeed. */
    private static Map<String, RawCall> goodCalls() {
        Map<String, RawCall> calls = new LinkedHashMap<>();
        calls.put("getpagesize", (backend, memory, page) -> backend.pageSize());
        calls.put("mmap and munmap", (backend, memory, page) -> {
            long start = backend.mmap(page, READ_WRITE, PRIVATE_ANONYMOUS);
            return start > 0 && start % page == 0 ? backend.munmap(start, page) : start;
        });
        calls.put("mprotect", (backend, memory, page) -> backend.mprotect(memory, page, READ_WRITE));
        calls.put("prctl get", (backend, memory, page) -> backend.prctl(68, 0, 0, 0, 0));
        calls.put("pidfd_open of myself gives a descriptor", (backend, memory, page) -> {
            long pidfd = backend.syscall(PIDFD_OPEN, ProcessHandle.current().pid(), 0, 0, 0, 0);
            return pidfd > 0 ? backend.syscall(CLOSE_RANGE, pidfd, pidfd, 0, 0, 0) : pidfd;
        });
        calls.put("address of a buffer", (backend, memory, page) -> {
            ByteBuffer buffer = ByteBuffer.allocateDirect(100);
            long start = backend.address(buffer);
            return backend.address(buffer.slice(7, 10)) - start + backend.address(buffer.position(50)) - start;
        });
        for (int advice : new int[] {MERGEABLE, UNMERGEABLE}) {
            String name = "madvise " + advice;
            calls.put(name, (backend, memory, page) -> backend.madvise(memory, 4 * page, advice));
            calls.put(name + " of nothing", (backend, memory, page) -> backend.madvise(memory, 0, advice));
        }
        return calls;
    }

    /** Calls that the kernel refuses. */
    private static Map<String, RawCall> badCalls() {
        Map<String, RawCall> calls = new LinkedHashMap<>();
        calls.put("mmap of nothing", (backend, memory, page) -> backend.mmap(0, READ_WRITE, PRIVATE_ANONYMOUS));
        calls.put("mmap of all", (backend, memory, page) -> backend.mmap(-1, READ_WRITE, PRIVATE_ANONYMOUS));
        calls.put("mmap of too much", (backend, memory, page) -> backend.mmap(1L << 61, READ_WRITE, PRIVATE_ANONYMOUS));
        calls.put("mmap neither private nor shared", (backend, memory, page) -> backend.mmap(page, READ_WRITE, 0x20));
        calls.put("mmap of no file", (backend, memory, page) -> backend.mmap(page, READ_WRITE, 2));
        calls.put("munmap off a page", (backend, memory, page) -> backend.munmap(memory + 1, page));
        calls.put("munmap of nothing", (backend, memory, page) -> backend.munmap(memory, 0));
        calls.put("munmap in the kernel's half", (backend, memory, page) -> backend.munmap(-page, page));
        calls.put("mprotect off a page", (backend, memory, page) -> backend.mprotect(memory + 1, page, READ_WRITE));
        calls.put("mprotect of nothing mapped", (backend, memory, page) -> backend.mprotect(page, page, 0));
        calls.put("mprotect to nonsense", (backend, memory, page) -> backend.mprotect(memory, page, -1));
        calls.put("madvise nonsense", (backend, memory, page) -> backend.madvise(memory, page, 4711));
        calls.put("prctl get with too much", (backend, memory, page) -> backend.prctl(68, 1, 0, 0, 0));
        calls.put("prctl set with too much", (backend, memory, page) -> backend.prctl(67, 0, 0, 0, 1));
        calls.put("prctl nonsense", (backend, memory, page) -> backend.prctl(-1, 0, 0, 0, 0));
        calls.put("prctl reads a bad name", (backend, memory, page) -> backend.prctl(15, 1, 0, 0, 0));
        calls.put("syscall that does not exist", (backend, memory, page) -> backend.syscall(-1, 0, 0, 0, 0, 0));
        calls.put(
                "process_madvise without pidfd",
                (backend, memory, page) -> backend.syscall(PROCESS_MADVISE, -1, 0, 0, MERGEABLE, 0));
        calls.put(
                "process_madvise with flags",
                (backend, memory, page) -> backend.syscall(PROCESS_MADVISE, -10000, memory, 1, MERGEABLE, 1));
        calls.put(
                "process_madvise of ranges at a bad address",
                (backend, memory, page) -> backend.syscall(PROCESS_MADVISE, -10000, 1, 1, MERGEABLE, 0));
        calls.put(
                "pidfd_open of no process",
                (backend, memory, page) -> backend.syscall(PIDFD_OPEN, Integer.MAX_VALUE, 0, 0, 0, 0));
        for (int advice : new int[] {MERGEABLE, UNMERGEABLE}) {
            String name = "madvise " + advice;
            calls.put(name + " off a page", (backend, memory, page) -> backend.madvise(memory + 1, page, advice));
            calls.put(name + " with a wrap", (backend, memory, page) -> backend.madvise(memory, -page, advice));
            calls.put(name + " in the kernel's half", (backend, memory, page) -> backend.madvise(-page, page, advice));
            calls.put(name + " of nothing mapped", (backend, memory, page) -> backend.madvise(page, page, advice));
        }
        return calls;
    }

    @TestFactory
    Stream<DynamicTest> allSucceedWithTheSameResult() {
        return goodCalls().entrySet().stream()
                .map(entry -> dynamicTest(
                        entry.getKey(),
                        () -> assertThat(agreedAnswer(entry.getValue())).isNotNegative()));
    }

    @TestFactory
    Stream<DynamicTest> allFailWithTheSameErrno() {
        return badCalls().entrySet().stream()
                .map(entry -> dynamicTest(
                        entry.getKey(),
                        () -> assertThat(agreedAnswer(entry.getValue())).isNegative()));
    }

    private static long agreedAnswer(RawCall call) {
        long expected = answer(BACKENDS.get(0), call);
        for (KsmBackend backend : BACKENDS) {
            assertThat(answer(backend, call)).as(backend.name()).isEqualTo(expected);
        }
        return expected;
    }

    private static long answer(KsmBackend backend, RawCall call) {
        long page = backend.pageSize();
        long memory = backend.mmap(4 * page, READ_WRITE, PRIVATE_ANONYMOUS);
        try {
            return call.run(backend, memory, page);
        } finally {
            assertThat(backend.munmap(memory, 4 * page)).isZero();
        }
    }
}
