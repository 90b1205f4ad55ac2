// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.IntUnaryOperator;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;

/** {@link TuningPolicy#converge} on a simulated {@code ksmd}. */
@Tag("more")
class ConvergePolicyTest {

    private static final double COST = 4e-6;

    private static double usedIn(SimulatedKsmd ksmd, TuningPolicy policy, double seconds) {
        double before = ksmd.used();
        ksmd.run(policy, seconds);
        return ksmd.used() - before;
    }

    private static double secondsUntilMerged(SimulatedKsmd ksmd, TuningPolicy policy, long pages) {
        double start = ksmd.time();
        while (ksmd.merged() < pages && ksmd.time() < start + 600) {
            ksmd.run(policy, 0.05);
        }
        return ksmd.lastMerge() - start;
    }

    @Property(tries = 40)
    void usesItsBudgetWhateverAPageCosts(
            @ForAll @DoubleRange(min = 0.05, max = 0.95) double share,
            @ForAll @IntRange(min = 1, max = 20) int microseconds,
            @ForAll @IntRange(min = 50_000, max = 150_000) int pages) {
        SimulatedKsmd ksmd = new SimulatedKsmd(microseconds / 1e6, true);
        TuningPolicy policy = TuningPolicy.converge(share);
        ksmd.add(pages, true);
        double took = secondsUntilMerged(ksmd, policy, pages);
        // The first batch can be too long, since it is based on an assumed cost.
        assertThat(ksmd.used()).isLessThan(1.1 * share * took + 0.15);
        assertThat(ksmd.used()).isGreaterThan(0.8 * share * took - 0.15);
    }

    @Example
    void isNearlyAsFastAsPossibleWithAWholeCore() {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        ksmd.add(200_000, true);
        TuningPolicy policy = TuningPolicy.converge(1);
        List<Decision> decisions = new ArrayList<>();
        double took = secondsUntilMerged(
                ksmd,
                now -> {
                    decisions.add(policy.decide(now));
                    return decisions.get(decisions.size() - 1);
                },
                200_000);
        assertThat(took).isLessThan(1.1 * 2 * 200_000 * COST);
        assertThat(decisions)
                .as("ksmd has the whole core, whatever it used before")
                .allSatisfy(decision -> assertThat(decision.settings().get(KsmSetting.SLEEP_MILLISECS))
                        .hasValue(0));
    }

    @Property(tries = 25)
    void isIdleOnceScansGainNothing(
            @ForAll @DoubleRange(min = 0.05, max = 1) double share,
            @ForAll @IntRange(min = 0, max = 60_000) int copies,
            @ForAll @IntRange(min = 0, max = 60_000) int others) {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = TuningPolicy.converge(share);
        ksmd.add(copies, true);
        ksmd.add(others, false);
        ksmd.run(policy, 60);
        assertThat(ksmd.merged()).isEqualTo(copies);
        assertThat(usedIn(ksmd, policy, 20) / 20).isLessThan(0.02);
    }

    /** Maximum seconds before it reacts, given the earlier data. The slow scan alone takes longer here. */
    private static final double LONGEST_REST = 28;

    @Property(tries = 25)
    void newDataEndsTheIdlePhase(
            @ForAll @IntRange(min = 0, max = 50_000) int before,
            @ForAll @IntRange(min = 38_000, max = 50_000) int more,
            @ForAll @DoubleRange(min = 0.2, max = 1) double share) {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = TuningPolicy.converge(share);
        ksmd.add(before, true);
        ksmd.run(policy, 30);
        ksmd.add(more, true);
        double alone = (before + 2.0 * more) * COST / 0.01;
        double took = secondsUntilMerged(ksmd, policy, before + more);
        assertThat(ksmd.merged()).isEqualTo(before + more);
        assertThat(took)
                .as("the slow scan alone takes %s", alone)
                .isLessThan(LONGEST_REST + 8 * COST * (before + more) / share);
    }

    @Example
    void rewrittenDataEndsTheIdlePhase() {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = TuningPolicy.converge(0.5);
        ksmd.add(50_000, true);
        ksmd.run(policy, 30);
        ksmd.write(0, 50_000, i -> 1 + i / 2);
        double start = ksmd.time();
        ksmd.run(policy, 10);
        assertThat(ksmd.unmergedCopies()).isZero();
        assertThat(ksmd.lastMerge() - start).isLessThan(5);
    }

    @Example
    void restsLongerAfterScansThatGainNothing() {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = TuningPolicy.converge(1);
        ksmd.run(policy, 10);
        double before = ksmd.used();
        for (int i = 0; i < 100; i++) {
            ksmd.add(1000, false);
            ksmd.run(policy, 3);
        }
        assertThat((ksmd.used() - before) / 300).isLessThan(0.1);
    }

    @Example
    void usesTheAssumedCostIfTheCpuTimeOfKsmdIsHidden() {
        SimulatedKsmd ksmd = new SimulatedKsmd(3e-6, false);
        ksmd.add(200_000, true);
        double took = secondsUntilMerged(ksmd, TuningPolicy.converge(0.3), 200_000);
        assertThat(ksmd.used() / took).isCloseTo(0.3, within(0.03));
    }

    @Property(tries = 20)
    void decisionsDependOnlyOnObservations(
            @ForAll @DoubleRange(min = 0.05, max = 1) double share, @ForAll @IntRange(max = 40_000) int pages) {
        TuningPolicy one = TuningPolicy.converge(share);
        TuningPolicy other = TuningPolicy.converge(share);
        List<Decision> decisions = new ArrayList<>();
        List<Decision> again = new ArrayList<>();
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        ksmd.add(pages, true);
        ksmd.run(
                now -> {
                    Decision decision = one.decide(now);
                    decisions.add(decision);
                    again.add(other.decide(now));
                    return decision;
                },
                20);
        assertThat(again).isEqualTo(decisions).hasSizeGreaterThan(30);
    }

    private static TuningPolicy converge(double share) {
        return new ConvergePolicy(share, SimulatedKsmd.PAGE_SIZE)::decide;
    }

    /** {@return the decisions until the policy is idle} */
    private static List<Decision> runUntilIdle(SimulatedKsmd ksmd, TuningPolicy policy) {
        List<Decision> decisions = new ArrayList<>();
        do {
            ksmd.run(
                    now -> {
                        decisions.add(policy.decide(now));
                        return decisions.get(decisions.size() - 1);
                    },
                    0.01);
        } while (!decisions.get(decisions.size() - 1).endsAtMark());
        return decisions;
    }

    @Property(tries = 25)
    void needsNoFurtherScanOnceAllPagesAreCompared(
            @ForAll @DoubleRange(min = 0.05, max = 1) double share,
            @ForAll @IntRange(min = 0, max = 50_000) int before,
            @ForAll @IntRange(min = 150_000, max = 250_000) int pages) {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = converge(share);
        ksmd.add(before, true);
        ksmd.run(policy, 60);
        long scans = ksmd.fullScans();
        ksmd.mark(pages, i -> i % 100 == 0 ? i / 200 + 1 : ksmd.unique());
        // The slow scan finds some of them before the policy knows.
        ksmd.advance(0.4);
        runUntilIdle(ksmd, policy);
        assertThat(ksmd.unmergedCopies()).isZero();
        // One that records the content, one that compares it, and what ksmd scans until the policy has noticed.
        assertThat(ksmd.fullScans() - scans).isBetween(2L, 4L);
    }

    @Example
    void looksRarelyAtAWholeCoreWhileAllIsNew() {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = converge(1);
        ksmd.run(policy, 10);
        ksmd.mark(500_000, i -> ksmd.unique());
        assertThat(runUntilIdle(ksmd, policy))
                .as("%s s of work", 2 * 500_000 * COST)
                .hasSizeLessThan(12);
    }

    @Example
    void goesOnWhileMarkedMemoryMayBeUnknownToKsmd() {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = converge(1);
        ksmd.add(50_000, false);
        ksmd.run(policy, 10);
        long scans = ksmd.fullScans();
        // Marked, but never written, so that ksmd finds no page there.
        ksmd.markUntouched(1000);
        runUntilIdle(ksmd, policy);
        assertThat(ksmd.fullScans() - scans).isEqualTo(3);
    }

    @Example
    void volatilePagesThatAreNotShownDoNotCountAsNone() {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = converge(1);
        TuningPolicy hidden = now -> policy.decide(new Observation(
                now.time(),
                now.settings(),
                now.pagesSharing(),
                now.zeroPages(),
                OptionalLong.empty(),
                now.pagesKnown(),
                now.pagesScanned(),
                now.fullScans(),
                now.markedBytes(),
                now.ksmdTime(),
                now.memoryTotal(),
                now.memoryAvailable(),
                now.memoryFree(),
                now.memoryCommitted(),
                now.stalledPercent()));
        ksmd.mark(100_000, i -> ksmd.unique());
        List<Decision> decisions = runUntilIdle(ksmd, hidden);
        assertThat(decisions.get(decisions.size() - 1).reason()).isEqualTo("3 full scans without progress");
    }

    /** Something that programs do to their memory. */
    record Change(int kind, int count, double where, int firstContent, double pause) {

        void apply(SimulatedKsmd ksmd) {
            int from = (int) (where * ksmd.size());
            IntUnaryOperator copies = i -> firstContent + i % 500;
            IntUnaryOperator unique = i -> ksmd.unique();
            switch (kind) {
                case 0 -> ksmd.mark(count, copies);
                case 1 -> ksmd.mark(count, unique);
                case 2 -> ksmd.insert(from, count, copies);
                case 3 -> ksmd.insert(from, count, unique);
                case 4 -> ksmd.write(from, Math.min(from + count, ksmd.size()), copies);
                default -> ksmd.write(from, Math.min(from + count, ksmd.size()), unique);
            }
        }
    }

    @Provide
    Arbitrary<List<Change>> changes() {
        return Combinators.combine(
                        Arbitraries.integers().between(0, 5),
                        Arbitraries.integers().between(1, 3000),
                        Arbitraries.doubles().between(0, 1),
                        Arbitraries.integers().between(0, 1000),
                        Arbitraries.doubles().between(0, 3))
                .as(Change::new)
                .list()
                .ofMinSize(1)
                .ofMaxSize(12);
    }

    @Property(tries = 60)
    void whateverChangesAllCopiesAreMergedInTheEnd(
            @ForAll @DoubleRange(min = 0.05, max = 1) double share, @ForAll("changes") List<Change> changes) {
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        TuningPolicy policy = converge(share);
        for (Change change : changes) {
            change.apply(ksmd);
            ksmd.run(policy, change.pause());
        }
        // Longer than any rest, and two slow scans.
        ksmd.run(policy, 70 + 3 * ksmd.size() * COST / Math.min(share, 0.01));
        assertThat(ksmd.unmergedCopies()).isZero();
        assertThat(usedIn(ksmd, policy, 20) / 20).isLessThan(0.05);
    }

    @Example
    void markingMemoryEndsEveryRest() {
        TuningPolicy policy = TuningPolicy.converge(1);
        SimulatedKsmd ksmd = new SimulatedKsmd(COST, true);
        List<Observation> seen = new ArrayList<>();
        ksmd.run(
                now -> {
                    seen.add(now);
                    return policy.decide(now);
                },
                5);
        Observation last = seen.get(seen.size() - 1);
        assertThat(policy.decide(last).reason()).isEqualTo("nothing new");
        Observation marked = new Observation(
                last.time(),
                last.settings(),
                last.pagesSharing(),
                last.zeroPages(),
                last.pagesVolatile(),
                last.pagesKnown(),
                last.pagesScanned(),
                last.fullScans(),
                4096,
                last.ksmdTime(),
                last.memoryTotal(),
                last.memoryAvailable(),
                last.memoryFree(),
                last.memoryCommitted(),
                last.stalledPercent());
        Decision decision = policy.decide(marked);
        assertThat(decision.reason()).isEqualTo("this JVM has marked 4096 more bytes");
        assertThat(decision.settings().get(KsmSetting.SLEEP_MILLISECS)).hasValue(0);
    }

    @Example
    void switchesOffSmartScanIfThereIsAny() {
        Observation without = Observations.memory(1, 0);
        assertThat(TuningPolicy.converge(1).decide(without).settings().values())
                .containsOnlyKeys(KsmSetting.RUN, KsmSetting.PAGES_TO_SCAN, KsmSetting.SLEEP_MILLISECS);
        List<Decision> decisions = new ArrayList<>();
        new SimulatedKsmd(COST, true)
                .run(
                        now -> {
                            decisions.add(TuningPolicy.converge(1).decide(now));
                            return decisions.get(0);
                        },
                        0.01);
        assertThat(decisions.get(0).settings().get(KsmSetting.SMART_SCAN)).hasValue(0);
    }

    @Example
    void refusesSharesOutOfRange() {
        for (double share : new double[] {0, -1, 1.01, Double.NaN}) {
            assertThatThrownBy(() -> TuningPolicy.converge(share))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("share of a core");
        }
    }
}
