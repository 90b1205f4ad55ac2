// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.merging;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeOutcome.End;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

@EnabledIfKsm(control = true)
class AwaitMergedTest {

    private static final int PAGES = 256;

    private final Ksm ksm = Ksm.system();

    /** Pages that no other page of this machine equals. */
    private final PageContents pages = PageContents.unique(ksm.pageSize());

    private final RunningKsmd ksmd;

    AwaitMergedTest(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    private MergeRegion allocate(Marking marking) {
        return ksm.allocate(
                PAGES * ksm.pageSize(),
                RegionOptions.DEFAULT.withMarking(marking).withHugePages(HugePages.AVOID));
    }

    @Test
    void waitingEndsWhenTheShareIsMerged() throws InterruptedException {
        try (MergeRegion one = allocate(Marking.MERGEABLE);
                MergeRegion other = allocate(Marking.MERGEABLE)) {
            pages.fill(one.buffer(), page -> page);
            pages.fill(other.buffer(), page -> page);
            long scans = ksmd.read("full_scans");

            MergeOutcome outcome = ksm.awaitMerged(List.of(one, other, one), 1, PATIENCE);

            assertThat(outcome.end()).isEqualTo(End.REACHED);
            assertThat(outcome.isReached()).isTrue();
            assertThat(outcome.stats()).isEqualTo(one.stats().plus(other.stats()));
            assertThat(outcome.stats().mergedBytes()).hasValue(2 * one.size());
            assertThat(outcome.stats().savedBytes()).isEqualTo(one.size());
            assertThat(outcome.fullScans().getAsLong()).isBetween(0L, ksmd.read("full_scans") - scans);
            assertThat(one.awaitMerged(1, Duration.ZERO).end()).as("at once").isEqualTo(End.REACHED);
        }
    }

    @Test
    void waitingEndsWhenNoMorePagesCanMerge() throws InterruptedException {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            pages.fill(region.buffer(), page -> page < PAGES / 2 ? 0 : page);

            MergeOutcome outcome = region.awaitMerged(0.9, PATIENCE);

            assertThat(outcome.end()).isEqualTo(End.SETTLED);
            assertThat(outcome.isReached()).isFalse();
            assertThat(outcome.stats().mergedShare()).isEqualTo(0.5);
            assertThat(region.stats()).as("no more pages merged").isEqualTo(outcome.stats());
            assertThat(outcome.fullScans().getAsLong()).isGreaterThanOrEqualTo(4);
        }
    }

    @Test
    void smartScansGetMoreTime() throws InterruptedException, IOException {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            ksmd.set(KsmSetting.SMART_SCAN, 1);
            pages.fill(region.buffer(), page -> page);
            assertThat(region.awaitMerged(0.5, PATIENCE).fullScans().getAsLong())
                    .isGreaterThanOrEqualTo(32);
        }
    }

    @Test
    void waitingEndsAtOnceWhereNothingCanMerge() throws InterruptedException {
        try (MergeRegion unmarked = allocate(Marking.UNMERGEABLE);
                MergeRegion recorded = Ksm.fallback().allocate(ksm.pageSize())) {
            pages.fill(unmarked.buffer(), page -> 0);
            assertThat(unmarked.awaitMerged(1, PATIENCE).end()).isEqualTo(End.NOT_MARKED);
            assertThat(recorded.awaitMerged(1, PATIENCE).end()).isEqualTo(End.NOT_MARKED);
            assertThat(ksm.awaitMerged(List.of(), 1, PATIENCE).end()).isEqualTo(End.NOT_MARKED);
        }
    }

    @Test
    void waitingEndsWhenKsmdIsStopped() throws Exception {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            pages.fill(region.buffer(), page -> page);
            // So slow that the wait cannot settle before ksmd is stopped.
            ksmd.set(KsmSetting.PAGES_TO_SCAN, 1);
            ksmd.set(KsmSetting.SLEEP_MILLISECS, 100);
            CompletableFuture<MergeOutcome> waiting = CompletableFuture.supplyAsync(() -> {
                try {
                    return region.awaitMerged(1, PATIENCE);
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
            assertThat(region.awaitMerged(1, Duration.ofMillis(50)).end()).isEqualTo(End.TIMED_OUT);
            assertThat(waiting).isNotDone();
            ksmd.set(KsmSetting.RUN, 0);
            assertThat(waiting.get().end()).isEqualTo(End.KSMD_STOPPED);
        }
    }

    @Test
    void waitingEndsAtTheTimeout() throws Exception {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            pages.fill(region.buffer(), page -> page);
            ksmd.set(KsmSetting.SLEEP_MILLISECS, 1000);
            ksmd.set(KsmSetting.PAGES_TO_SCAN, 1);

            MergeOutcome outcome = region.awaitMerged(0.1, Duration.ofMillis(200));

            assertThat(outcome.end()).isEqualTo(End.TIMED_OUT);
            assertThat(outcome.waited()).isGreaterThanOrEqualTo(Duration.ofMillis(200));
            RegionStats stats = outcome.stats();
            assertThat(stats.residentBytes()).isEqualTo(region.size());
        }
    }

    @Test
    void aWaitingThreadCanBeInterrupted() throws Exception {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            pages.fill(region.buffer(), page -> page);
            ksmd.set(KsmSetting.SLEEP_MILLISECS, 1000);
            ksmd.set(KsmSetting.PAGES_TO_SCAN, 1);
            assertThat(endOfWaiting(region, Thread::interrupt)).isInstanceOf(InterruptedException.class);
        }
    }

    /** Returns the exception of a thread that waits for the region while an action runs. */
    private static Throwable endOfWaiting(MergeRegion region, Consumer<Thread> event) throws InterruptedException {
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread waiting = new Thread(() -> {
            try {
                region.awaitMerged(1, PATIENCE);
            } catch (Throwable t) {
                thrown.set(t);
            }
        });
        waiting.start();
        await().until(() -> waiting.getState() == Thread.State.TIMED_WAITING);
        event.accept(waiting);
        waiting.join();
        return thrown.get();
    }

    @Test
    void closingTheRegionEndsTheWait() throws Exception {
        MergeRegion region = allocate(Marking.MERGEABLE);
        pages.fill(region.buffer(), page -> page);
        // Each scan takes 160 ms: scans end often enough for the region to be checked, but the 32 scans until the wait
        // settles take longer than the time until the region is closed.
        ksmd.set(KsmSetting.SLEEP_MILLISECS, 10);
        ksmd.set(KsmSetting.PAGES_TO_SCAN, 16);
        ksmd.set(KsmSetting.SMART_SCAN, 1);
        assertThat(endOfWaiting(region, waiting -> region.close()))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
        assertThatThrownBy(() -> region.awaitMerged(1, PATIENCE)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void closingTheRegionEndsTheWaitWhileKsmdSleeps() throws Exception {
        MergeRegion region = allocate(Marking.MERGEABLE);
        pages.fill(region.buffer(), page -> page);
        ksmd.set(KsmSetting.PAGES_TO_SCAN, 1);
        ksmd.set(KsmSetting.SLEEP_MILLISECS, 60_000);
        CompletableFuture<MergeOutcome> waiting = CompletableFuture.supplyAsync(() -> {
            try {
                return region.awaitMerged(1, PATIENCE);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(region.awaitMerged(1, Duration.ofMillis(200)).end()).isEqualTo(End.TIMED_OUT);
        assertThat(waiting).isNotDone();
        region.close();
        assertThatThrownBy(() -> waiting.get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                .hasCauseInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
    }

    @Test
    void invalidArgumentsAreRefused() {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            for (double share : new double[] {0, -0.5, 1.01, Double.NaN, Double.POSITIVE_INFINITY}) {
                assertThatThrownBy(() -> region.awaitMerged(share, PATIENCE))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining(Double.toString(share));
            }
            assertThatThrownBy(() -> region.awaitMerged(1, Duration.ofNanos(-1)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("negative");
        }
    }

    @Test
    void aTimeoutOfCenturiesIsAccepted() throws InterruptedException {
        try (MergeRegion region = allocate(Marking.MERGEABLE)) {
            pages.fill(region.buffer(), page -> 0);
            assertThat(region.awaitMerged(0.5, Duration.ofSeconds(Long.MAX_VALUE))
                            .end())
                    .isEqualTo(End.REACHED);
        }
    }
}
