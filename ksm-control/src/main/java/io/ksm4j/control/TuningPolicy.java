package io.ksm4j.control;

import java.time.Duration;
import java.util.Map;

/**
 * Decides which settings {@code ksmd} shall have, for a {@link KsmTuner}.
 *
 * <p>A policy may remember earlier observations, and so belongs to one tuner. Those of this interface remember nothing else: the same
 * observations get the same decisions. They are not safe for use by many threads; a tuner calls its own from one thread at a time.
 */
@FunctionalInterface
public interface TuningPolicy {

    /**
     * Decides what to do now.
     *
     * @param now the latest observation, later than those before
     * @return the settings to have, and when to look again
     * @throws RuntimeException if there is nothing this policy can do on this machine; ends the tuner
     */
    Decision decide(Observation now);

    /**
     * Merges what there is to merge as fast as a share of one core lets {@code ksmd}, then falls to almost nothing.
     *
     * <p>While merging pays, the pages to scan and the sleep follow from what a page was seen to cost, and what was spent too much is
     * saved later: over seconds the share is kept. It stops paying when three full scans end without a thousandth more pages known
     * or merged. From then on {@code ksmd} takes a hundredth of a core, and is set to work again when this JVM marks more memory, or
     * that slow scan finds pages it did not know, pages that have changed, or pages to merge. Each time this was for nothing, the
     * next rest is twice as long, up to 64 seconds; this JVM's own marks end every rest.
     *
     * <p>{@code smart_scan} is switched off meanwhile, since it passes over pages that are to be merged, and the advisor too.
     *
     * <p>Where the CPU time of {@code ksmd} cannot be seen, 3 microseconds a page are assumed, and the budget is as good as that is.
     *
     * @param coreShare how much of one core {@code ksmd} may take: above 0, at most 1
     * @return a policy for one tuner
     * @throws IllegalArgumentException if the share is not in that range
     */
    static TuningPolicy converge(double coreShare) {
        return new ConvergePolicy(coreShare)::decide;
    }

    /**
     * The rules of the script {@code ksmtuned}, with its defaults: see {@link #ksmtuned(Map)}.
     *
     * @return a policy for one tuner
     */
    static TuningPolicy ksmtuned() {
        return new KsmtunedPolicy(Map.of())::decide;
    }

    /**
     * The rules of the script {@code ksmtuned} that comes with QEMU packages, under the names that it has in {@code
     * /etc/ksmtuned.conf}.
     *
     * <p>Every {@code KSM_MONITOR_INTERVAL} (60) seconds: memory is short when less than a threshold of it is free. That is {@code
     * KSM_THRES_COEF} (20) per cent of the machine's, and at least {@code KSM_THRES_CONST} (2048) KiB. While it is short, {@code
     * KSM_NPAGES_BOOST} (300) is added to the pages to scan, which begin at 0; while not, {@code KSM_NPAGES_DECAY} (-50); the result is
     * kept from {@code KSM_NPAGES_MIN} (64) to {@code KSM_NPAGES_MAX} (1250). {@code ksmd} stands still, and the pages stay what they
     * were, while more than the threshold is free and what is committed leaves more than that, too. It sleeps {@code KSM_SLEEP_MSEC}
     * (10) milliseconds on a machine of 16 GiB, less on larger and more on smaller ones, but never less than 10.
     *
     * <p>What differs: the script adds up the memory of QEMU processes for what is committed, and here it is all anonymous memory,
     * {@link Observation#memoryCommitted}; it makes its first decision after an interval, and a tuner at once; it leaves the settings
     * changed, and a tuner puts back those that {@code ksmd} does not need while it stands still; and the advisor is switched off here.
     *
     * @param parameters those that shall differ from the defaults
     * @return a policy for one tuner
     * @throws IllegalArgumentException if a name is none of those above, the interval or the least number of pages is below 1, the
     *     sleep or a threshold below 0, a number above 2<sup>31</sup>-1, or the least number of pages above the most
     */
    static TuningPolicy ksmtuned(Map<String, Long> parameters) {
        return new KsmtunedPolicy(parameters)::decide;
    }

    /**
     * Merges as {@link #converge} does while memory is short, and lets {@code ksmd} stand still otherwise; what is merged stays so.
     * Memory is short from less than a tenth of it available, or a tenth of the time stalled for want of it, until more than a fifth
     * is available and stalls are half as much.
     *
     * @param coreShare as {@link #converge}
     * @return a policy for one tuner
     * @throws IllegalArgumentException as {@link #converge}
     */
    static TuningPolicy pressure(double coreShare) {
        return pressure(coreShare, 0.1, 0.2, 10);
    }

    /**
     * As {@link #pressure(double)}, with other thresholds. What the machine does not tell is not taken for a shortage: without {@code
     * /proc/pressure/memory} the memory available alone decides.
     *
     * @param coreShare as {@link #converge}
     * @param startBelow merge when less than this share of memory is available, 0 to 1
     * @param stopAbove stop when more than this share is available, from {@code startBelow} to 1
     * @param stalledPercent merge when tasks were stalled for want of memory this part of the last ten seconds, above 0, in per cent;
     *     above 100 is never
     * @return a policy for one tuner
     * @throws IllegalArgumentException if a number is not in its range
     */
    static TuningPolicy pressure(double coreShare, double startBelow, double stopAbove, double stalledPercent) {
        return new PressurePolicy(coreShare, startBelow, stopAbove, stalledPercent)::decide;
    }

    /**
     * Lets the kernel choose, so that a full scan takes a given time. Since Linux 6.8.
     *
     * <p>Its {@link #decide} throws {@link NoSuchSettingException} on a kernel without the advisor, and so does {@link KsmTuner#start}.
     *
     * @param fullScan how long a full scan should take; whole seconds, at least one
     * @param coreShare how much of one core {@code ksmd} may take then: 0.01 to 1, in whole per cent
     * @return a policy for one tuner
     * @throws IllegalArgumentException if one of the two is not in its range
     */
    static TuningPolicy advisor(Duration fullScan, double coreShare) {
        return new AdvisorPolicy(fullScan, coreShare)::decide;
    }
}
