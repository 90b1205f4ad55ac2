// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import static io.ksm4j.pool.FailingBackend.PAGE;
import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegistry;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** After a failure of any call in a pool, its blocks are those that were returned, and no page is lost. */
class MergePoolFailuresTest {

    /** What a call does instead of succeeding. */
    enum Failure {
        ERRNO,
        ERROR,
        EXCEPTION;

        long answer() {
            return switch (this) {
                case ERRNO -> -5;
                case ERROR -> throw new OutOfMemoryError("as told");
                case EXCEPTION -> throw new UnsupportedOperationException("as told");
            };
        }
    }

    private static final int PAGES = 64;
    private static final byte[] ZEROS = new byte[PAGE];

    /** More than the number of calls in {@link #use}. */
    private static final int MOST_CALLS = 200;

    private final long openBefore = MergeRegistry.system().openRegions();
    private final FailingBackend backend = new FailingBackend();

    private static void await(CountDownLatch latch) {
        try {
            assertThat(latch.await(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isTrue();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @AfterEach
    void noRegionStaysOpen() {
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(openBefore);
    }

    private MergePool pool(int pages) {
        return MergePool.create(Ksm.with(backend), (long) pages * PAGE);
    }

    private void fail(Failure failure, int from, int to) {
        backend.failFrom = backend.calls.get() + from;
        backend.failTo = backend.calls.get() + to;
        backend.failure = failure::answer;
    }

    @ParameterizedTest
    @EnumSource
    void failedCreationLeavesNoRegion(Failure failure) {
        Throwable thrown;
        int call = 0;
        do {
            call++;
            fail(failure, call, call + 1);
            thrown = catchThrowable(() -> {
                try (MergePool pool = pool(10_000)) {
                    backend.failure = null;
                    assertThat(pool.stats().regions()).isGreaterThan(1);
                }
            });
            backend.failure = null;
            assertThat(MergeRegistry.system().openRegions()).as("call %s", call).isEqualTo(openBefore);
        } while (thrown != null);
        assertThat(call).isGreaterThan(2);
    }

    @ParameterizedTest
    @EnumSource
    void oneFailedCallLosesNoPage(Failure failure) {
        assertNothingIsLost(failure, 1);
    }

    @ParameterizedTest
    @EnumSource
    void failureOfAllLaterCallsLosesNoPage(Failure failure) {
        assertNothingIsLost(failure, MOST_CALLS);
    }

    private void assertNothingIsLost(Failure failure, int failures) {
        int calls = 0;
        for (int call = 1; call == 1 || call <= calls; call++) {
            MergePool pool = pool(PAGES);
            int before = backend.calls.get();
            fail(failure, call, call + failures);
            List<MergeBlock> blocks = use(pool);
            calls = backend.calls.get() - before;
            backend.failure = null;

            PoolStats stats = pool.stats();
            assertThat(stats.blocks()).as("blocks, call %s", call).isEqualTo(blocks.size());
            assertThat(stats.valueBytes())
                    .as("bytes, call %s", call)
                    .isEqualTo(blocks.stream().mapToLong(MergeBlock::size).sum());
            blocks.forEach(MergeBlock::close);
            assertThat(pool.stats().usedBytes()).as("used, call %s", call).isZero();
            for (int page = 0; page < PAGES; page++) {
                assertThat(pool.allocate(PAGE).toByteArray())
                        .as("page %s, call %s", page, call)
                        .isEqualTo(ZEROS);
            }
            pool.close();
        }
        assertThat(calls).isLessThan(MOST_CALLS).isPositive();
    }

    /** Allocates, stores and closes blocks; returns those that are open at the end. */
    private static List<MergeBlock> use(MergePool pool) {
        List<MergeBlock> open = new ArrayList<>();
        for (int size : new int[] {0, 1, PAGE, 3 * PAGE + 5, 7 * PAGE}) {
            byte[] value = new byte[size];
            Arrays.fill(value, (byte) 7);
            for (int i = 0; i < 2; i++) {
                MergeBlock block = pool.store(value);
                assertThat(block.toByteArray()).isEqualTo(value);
                if (i == 0) {
                    block.close();
                } else {
                    open.add(block);
                }
            }
        }
        return open;
    }

    @ParameterizedTest
    @EnumSource
    void failedMappingUsesNoCapacity(Failure failure) {
        int mib = 1 << 20;
        Throwable thrown;
        int call = 0;
        do {
            call++;
            try (MergePool pool = pool(24 * mib / PAGE)) {
                pool.allocate(10 * mib);
                PoolStats before = pool.stats();
                fail(failure, call, call + 1);
                thrown = catchThrowable(() -> pool.allocate(8 * mib).close());
                backend.failure = null;
                assertThat(pool.stats().usedBytes()).as("call %s", call).isEqualTo(before.usedBytes());
                assertThat(pool.stats().blocks()).as("call %s", call).isEqualTo(1);
                assertThat(pool.allocate(8 * mib).size()).isEqualTo(8 * mib);
            }
        } while (thrown != null);
        assertThat(call).isGreaterThan(2);
    }

    @Test
    void pagesThatTheKernelDoesNotTakeBackAreFreeAndShowNoOldBytes() {
        try (MergePool pool = pool(2)) {
            byte[] value = new byte[PAGE];
            Arrays.fill(value, (byte) 7);
            MergeBlock one = pool.store(value);
            MergeBlock other = pool.store(value);
            fail(Failure.ERROR, 1, MOST_CALLS);
            one.close();
            other.close();
            assertThat(pool.stats().usedBytes()).isZero();
            assertThat(pool.stats().retainedBytes()).isEqualTo(2L * PAGE);

            backend.failure = null;
            assertThat(pool.allocate(2 * PAGE).toByteArray()).containsOnly(0);
        }
    }

    @Test
    void failedCopyLeavesNoBlock() {
        backend.readOnly = true;
        try (MergePool pool = pool(2)) {
            ByteBuffer value = ByteBuffer.allocate(PAGE);
            assertThatThrownBy(() -> pool.store(value)).isInstanceOf(ReadOnlyBufferException.class);
            assertThat(value.position()).isZero();
            assertThat(pool.stats().usedBytes()).isZero();
            assertThat(pool.stats().blocks()).isZero();
        }
    }

    @ParameterizedTest
    @EnumSource
    void failedCloseStillClosesAllOtherRegions(Failure failure) {
        MergePool pool = pool(20_000);
        assertThat(pool.stats().regions()).isGreaterThan(1);
        fail(failure, 1, 2);
        assertThatThrownBy(pool::close).isNotNull();
        backend.failure = null;
        pool.close();
        assertThat(pool.isOpen()).isFalse();
    }

    @Test
    void closeDoesNotWaitForAMappingInProgress() throws Exception {
        CountDownLatch mapping = new CountDownLatch(1);
        CountDownLatch closed = new CountDownLatch(1);
        MergePool pool = pool((16 << 20) / PAGE + 1);
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try {
            pool.allocate(16 << 20);
            backend.whileMapping = () -> {
                mapping.countDown();
                await(closed);
            };
            Future<Throwable> growing = thread.submit(() -> catchThrowable(() -> pool.allocate(1)));
            await(mapping);
            pool.close();
            closed.countDown();
            assertThat(growing.get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("closed");
            assertThat(pool.stats().usedBytes()).isEqualTo(16 << 20);
        } finally {
            thread.shutdownNow();
        }
    }

    /** Waiting in a monitor would pin virtual threads to their carriers. */
    @Test
    void threadsDoNotWaitForARegionInAMonitor() throws Exception {
        CountDownLatch mapping = new CountDownLatch(1);
        CountDownLatch waiting = new CountDownLatch(1);
        ExecutorService threads = Executors.newFixedThreadPool(2);
        try (MergePool pool = pool(3 * (8 << 20) / PAGE)) {
            pool.allocate(10 << 20);
            backend.whileMapping = () -> {
                mapping.countDown();
                await(waiting);
            };
            Future<MergeBlock> mapper = threads.submit(() -> pool.allocate(7 << 20));
            await(mapping);
            AtomicReference<Thread> waiter = new AtomicReference<>();
            Future<MergeBlock> waited = threads.submit(() -> {
                waiter.set(Thread.currentThread());
                return pool.allocate(7 << 20);
            });
            long end = System.nanoTime() + PATIENCE.toNanos();
            Thread.State state = Thread.State.NEW;
            while (state != Thread.State.WAITING && state != Thread.State.BLOCKED && System.nanoTime() < end) {
                Thread.onSpinWait();
                state = waiter.get() == null ? state : waiter.get().getState();
            }
            waiting.countDown();
            assertThat(state).isEqualTo(Thread.State.WAITING);
            assertThat(mapper.get(PATIENCE.toSeconds(), TimeUnit.SECONDS).size())
                    .isEqualTo(
                            waited.get(PATIENCE.toSeconds(), TimeUnit.SECONDS).size());
            assertThat(pool.stats().regions()).as("mapped once").isEqualTo(2);
        } finally {
            threads.shutdownNow();
        }
    }
}
