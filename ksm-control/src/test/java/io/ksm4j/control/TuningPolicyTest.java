// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static io.ksm4j.control.Observations.GIB;
import static io.ksm4j.control.Observations.memory;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;

/** The policies that decide by memory: {@code ksmtuned}, {@code pressure}, {@code advisor}. */
@Tag("more")
class TuningPolicyTest {

    private static final long KIB = 1L << 10;
    private static final long MIB = 1L << 20;

    private static long value(Decision decision, KsmSetting setting) {
        return decision.settings().get(setting).orElse(-1);
    }

    /** A decision of the script, calculated by hand: memory in KiB, and the pages to scan that it sets. */
    private record Step(long total, long free, long committed, long pages) {}

    /** {@code ksmd} is stopped. */
    private static final long STOPPED = -1;

    private static void assertThatKsmtuned(TuningPolicy policy, Step... steps) {
        for (Step step : steps) {
            Decision decision = policy.decide(memory(step.total * KIB, step.free * KIB, step.committed * KIB, 0));
            assertThat(value(decision, KsmSetting.PAGES_TO_SCAN))
                    .as(step.toString())
                    .isEqualTo(step.pages);
            assertThat(value(decision, KsmSetting.RUN)).as(step.toString()).isEqualTo(step.pages == STOPPED ? 0 : 1);
        }
    }

    /** A fifth of 16 GiB is 3,355,443.2 KiB, which the script truncates to 3,355,443. */
    @Example
    void ksmtunedBoostsBelowItsThresholdDecaysAboveItAndStopsIfFreeAndCommittedAllowIt() {
        long total = 16 * MIB;
        long threshold = 3_355_443;
        long committed = total - threshold;
        assertThatKsmtuned(
                TuningPolicy.ksmtuned(),
                new Step(total, threshold + 1, committed - 1, STOPPED),
                new Step(total, threshold - 1, 0, 300),
                new Step(total, threshold - 1, 0, 600),
                new Step(total, threshold, 0, 550),
                new Step(total, threshold + 1, committed, 500),
                // It continues with the number of pages it had before it stopped.
                new Step(total, threshold + 1, committed - 1, STOPPED),
                new Step(total, threshold + 1, committed, 450),
                new Step(total, 0, 0, 750),
                new Step(total, 0, 0, 1050),
                new Step(total, 0, 0, 1250),
                new Step(total, 0, 0, 1250),
                new Step(total, total, total, 1200));
    }

    @Example
    void ksmtunedStartsWithItsMinimumIfMemoryIsCommittedButFree() {
        assertThatKsmtuned(
                TuningPolicy.ksmtuned(), new Step(16 * MIB, 8 * MIB, 16 * MIB, 64), new Step(16 * MIB, 0, 0, 364));
    }

    /** The script compares its 2048 with a number of KiB. So it means 2 MiB, which is rarely more than the share. */
    @Example
    void ksmtunedReadsItsConstantThresholdAsKibibytes() {
        assertThatKsmtuned(TuningPolicy.ksmtuned(), new Step(4 * MIB, 838_861, 0, STOPPED));
        assertThatKsmtuned(TuningPolicy.ksmtuned(), new Step(10_000, 2047, 0, 300), new Step(10_000, 2048, 0, 250));
        Map<String, Long> constant = Map.of("KSM_THRES_CONST", 2 * MIB);
        assertThatKsmtuned(
                TuningPolicy.ksmtuned(constant),
                new Step(4 * MIB, 2 * MIB - 1, 0, 300),
                new Step(4 * MIB, 2 * MIB, 0, 250),
                new Step(4 * MIB, 2 * MIB + 1, 0, STOPPED));
    }

    @Example
    void ksmtunedSleepsLongerOnSmallMachinesInWholeMilliseconds() {
        long[][] sleeps = {
            {16 * MIB, 10},
            {64 * MIB, 10},
            {4 * MIB, 40},
            {MIB, 160},
            {24_617_524, 10},
            {7_812_500, 21},
            {1, 167_772_160}
        };
        for (long[] sleep : sleeps) {
            Decision decision = TuningPolicy.ksmtuned().decide(memory(sleep[0] * KIB, 0, 0, 0));
            assertThat(value(decision, KsmSetting.SLEEP_MILLISECS))
                    .as(sleep[0] + " KiB")
                    .isEqualTo(sleep[1]);
        }
        Map<String, Long> slower = Map.of("KSM_SLEEP_MSEC", 200L);
        assertThat(value(
                        TuningPolicy.ksmtuned(slower).decide(memory(24_617_524 * KIB, 0, 0, 0)),
                        KsmSetting.SLEEP_MILLISECS))
                .isEqualTo(136);
    }

    @Example
    void ksmtunedGivesAReasonAndPausesForAMinute() {
        Decision stop = TuningPolicy.ksmtuned().decide(memory(16 * GIB, 4 * GIB, 12 * GIB, 0));
        assertThat(stop.settings()).isEqualTo(KsmSettings.EMPTY.with(KsmSetting.RUN, 0));
        assertThat(stop.reason()).isEqualTo("4096 MiB free, more than 3277 MiB; the same would hold without merging");
        assertThat(stop.pause()).isEqualTo(Duration.ofSeconds(60));
    }

    @Example
    void ksmtunedAcceptsTheParametersOfTheScript() {
        TuningPolicy policy =
                TuningPolicy.ksmtuned(Map.of("KSM_MONITOR_INTERVAL", 5L, "KSM_NPAGES_BOOST", 7L, "KSM_NPAGES_MIN", 1L));
        Decision decision = policy.decide(memory(16 * GIB, GIB, 0, 0));
        assertThat(value(decision, KsmSetting.PAGES_TO_SCAN)).isEqualTo(7);
        assertThat(decision.pause()).isEqualTo(Duration.ofSeconds(5));
        assertThatThrownBy(() -> TuningPolicy.ksmtuned(Map.of("KSM_TURBO", 1L)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("KSM_TURBO");
        for (String name : List.of("KSM_MONITOR_INTERVAL", "KSM_NPAGES_MIN", "KSM_NPAGES_MAX")) {
            assertThatThrownBy(() -> TuningPolicy.ksmtuned(Map.of(name, 0L)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(name);
        }
    }

    @Property(tries = 300)
    void ksmtunedStaysBetweenItsMinimumAndMaximumPages(
            @ForAll @Size(min = 1, max = 40) List<@LongRange(max = 16 * GIB) Long> free,
            @ForAll @IntRange(min = 1, max = 500) int min,
            @ForAll @IntRange(min = 500, max = 5000) int max) {
        Map<String, Long> parameters = Map.of("KSM_NPAGES_MIN", (long) min, "KSM_NPAGES_MAX", (long) max);
        TuningPolicy one = TuningPolicy.ksmtuned(parameters);
        TuningPolicy other = TuningPolicy.ksmtuned(parameters);
        for (long bytes : free) {
            Observation now = memory(16 * GIB, bytes, 16 * GIB - bytes, 0);
            Decision decision = one.decide(now);
            assertThat(other.decide(now)).isEqualTo(decision);
            if (value(decision, KsmSetting.RUN) == 1) {
                assertThat(value(decision, KsmSetting.PAGES_TO_SCAN)).isBetween((long) min, (long) max);
                assertThat(value(decision, KsmSetting.SLEEP_MILLISECS)).isGreaterThanOrEqualTo(10);
            }
        }
    }

    @Example
    void pressureMergesFromItsLowerThresholdUpToTheHigherOne() {
        TuningPolicy policy = TuningPolicy.pressure(0.5);
        List<Long> runs = new ArrayList<>();
        for (double available : new double[] {0.15, 0.09, 0.15, 0.19, 0.21, 0.15}) {
            runs.add(value(policy.decide(memory(available, 0)), KsmSetting.RUN));
        }
        assertThat(runs).containsExactly(0L, 1L, 1L, 1L, 0L, 0L);
    }

    @Example
    void pressureMergesWhileTasksAreStalledOnMemory() {
        TuningPolicy policy = TuningPolicy.pressure(0.5);
        List<Long> runs = new ArrayList<>();
        for (double stalled : new double[] {9, 10, 6, 4, 9}) {
            runs.add(value(policy.decide(memory(0.5, stalled)), KsmSetting.RUN));
        }
        assertThat(runs).containsExactly(0L, 1L, 1L, 0L, 0L);
        assertThat(policy.decide(memory(0.5, 50)).reason())
                .startsWith("memory is short: 50.0 % of memory available, stalled 50.0 % of the time; ");
    }

    @Property(tries = 200)
    void pressureNeverMergesAboveItsThresholds(
            @ForAll @DoubleRange(min = 0, max = 0.5) double start,
            @ForAll @DoubleRange(min = 0.5, max = 0.9) double stop,
            @ForAll @Size(min = 1, max = 20) List<@DoubleRange(min = 0, max = 1) Double> available) {
        TuningPolicy one = TuningPolicy.pressure(0.5, start, stop, 101);
        TuningPolicy other = TuningPolicy.pressure(0.5, start, stop, 101);
        for (double share : available) {
            Observation now = memory(share, 0);
            Decision decision = one.decide(now);
            assertThat(other.decide(now)).isEqualTo(decision);
            if (share < start - 1e-6) {
                assertThat(value(decision, KsmSetting.RUN)).isEqualTo(1);
            } else if (share > stop + 1e-6) {
                assertThat(value(decision, KsmSetting.RUN)).isEqualTo(0);
            }
        }
    }

    @Example
    void unknownMemoryIsNotTakenForAShortage() {
        for (TuningPolicy policy : List.of(TuningPolicy.pressure(1), TuningPolicy.ksmtuned())) {
            Decision decision = policy.decide(Observations.nothing());
            assertThat(decision.settings()).isEqualTo(KsmSettings.EMPTY.with(KsmSetting.RUN, 0));
            assertThat(decision.reason()).isNotBlank();
        }
    }

    @Example
    void pressureRefusesThresholdsOutOfRange() {
        for (double[] wrong :
                new double[][] {{0, 0.1, 0.2, 10}, {1, 0.3, 0.2, 10}, {1, 0.1, 1.1, 10}, {1, 0.1, 0.2, 0}}) {
            assertThatThrownBy(() -> TuningPolicy.pressure(wrong[0], wrong[1], wrong[2], wrong[3]))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Example
    void advisorLeavesTheChoiceToTheKernel() {
        TuningPolicy policy = TuningPolicy.advisor(Duration.ofSeconds(30), 0.4);
        Observation old = memory(1, 0);
        assertThatThrownBy(() -> policy.decide(old))
                .isInstanceOf(NoSuchSettingException.class)
                .hasMessageContaining("Linux 6.8");
        Observation now = new Observation(
                old.time(),
                old.settings().with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE),
                old.pagesSharing(),
                old.zeroPages(),
                old.pagesVolatile(),
                old.pagesKnown(),
                old.pagesScanned(),
                old.fullScans(),
                0,
                old.ksmdTime(),
                old.memoryTotal(),
                old.memoryAvailable(),
                old.memoryFree(),
                old.memoryCommitted(),
                old.stalledPercent());
        assertThat(policy.decide(now).settings())
                .hasToString("run=1 advisor_mode=scan-time advisor_max_cpu=40 advisor_target_scan_time=30");
        assertThatThrownBy(() -> TuningPolicy.advisor(Duration.ofMillis(999), 0.4))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("advisor_target_scan_time");
        for (double share : new double[] {0, 0.009, 1.001, Double.NaN}) {
            assertThatThrownBy(() -> TuningPolicy.advisor(Duration.ofSeconds(1), share))
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }
}
