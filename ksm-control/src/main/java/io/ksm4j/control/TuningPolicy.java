// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.Map;

/**
 * Decides on the settings of {@code ksmd}, for a {@link KsmTuner}.
 *
 * <p>A policy may remember earlier observations, so each tuner needs a policy of its own. The policies of this
 * interface depend only on the observations: the same observations lead to the same decisions. They are not safe for
 * use by multiple threads; a tuner calls its policy from one thread at a time.
 *
 * @since 0.1.0
 */
@FunctionalInterface
public interface TuningPolicy {

    /**
     * Decides on the settings from now on.
     *
     * @param now the latest observation, later than all before
     * @return the settings to apply, and when to decide again
     * @throws RuntimeException if the policy cannot work on this machine; this ends the tuner
     */
    Decision decide(Observation now);

    /**
     * Returns a policy that merges as fast as {@code ksmd} can within a share of one core, then lets it run at a
     * minimal rate.
     *
     * <p>While merging makes progress, the pages to scan and the sleep time follow from the measured cost of a page.
     * Time spent beyond the budget is saved later, so the share is kept over seconds. Progress has stopped when a full
     * scan ends with less than a thousandth of all pages volatile, which means that all others have been compared; or,
     * if pages change all the time, when three full scans end without a thousandth more pages known or merged. From
     * then on, {@code ksmd} takes one hundredth of a core. It works at full rate again when this JVM marks more memory,
     * or when that slow scan finds new pages, changed pages, or pages to merge. Each time this leads to no progress,
     * the next pause is twice as long, up to 64 seconds; marks of this JVM end every pause.
     *
     * <p>The policy switches off {@code smart_scan}, which skips pages that are to be merged, and the advisor.
     *
     * <p>If the CPU time of {@code ksmd} is hidden, the policy assumes 3 microseconds for each page, and keeps the
     * budget as far as this is right.
     *
     * @param coreShare how much of one core {@code ksmd} may take: above 0, at most 1
     * @return a policy for one tuner
     * @throws IllegalArgumentException if the share is out of range
     */
    static TuningPolicy converge(double coreShare) {
        return new ConvergePolicy(coreShare)::decide;
    }

    /**
     * Returns a policy with the rules and defaults of the script {@code ksmtuned}: see {@link #ksmtuned(Map)}.
     *
     * @return a policy for one tuner
     */
    static TuningPolicy ksmtuned() {
        return new KsmtunedPolicy(Map.of())::decide;
    }

    /**
     * Returns a policy with the rules of the script {@code ksmtuned}, which comes with QEMU packages. The parameters
     * have the names that the script uses in {@code /etc/ksmtuned.conf}; their defaults are in parentheses.
     *
     * <p>Every {@code KSM_MONITOR_INTERVAL} (60) seconds, the policy checks whether memory is short, which means that
     * less than a threshold is free. The threshold is {@code KSM_THRES_COEF} (20) percent of the machine's memory, and
     * at least {@code KSM_THRES_CONST} (2048) KiB. While memory is short, {@code KSM_NPAGES_BOOST} (300) is added to
     * the pages to scan, which start at 0; otherwise {@code KSM_NPAGES_DECAY} (-50) is added. The result is limited to
     * {@code KSM_NPAGES_MIN} (64) to {@code KSM_NPAGES_MAX} (1250). While more than the threshold is free, and
     * committed memory leaves more than the threshold, too, {@code ksmd} is stopped and the number of pages stays. The
     * sleep time is {@code KSM_SLEEP_MSEC} (10) milliseconds on a machine with 16 GiB, less on larger and more on
     * smaller machines, but at least 10 milliseconds.
     *
     * <p>There are four differences. For committed memory, the script adds up the memory of QEMU processes; here it is
     * all anonymous memory, {@link Observation#memoryCommitted}. The script makes its first decision after an interval;
     * a tuner makes it at once. The script leaves the settings changed; a tuner restores those that a stopped {@code
     * ksmd} does not need. And this policy switches off the advisor.
     *
     * @param parameters the parameters that differ from the defaults
     * @return a policy for one tuner
     * @throws IllegalArgumentException if a name is none of those above, the interval or the minimum number of pages is
     *     below 1, the sleep time or a threshold is below 0, a number is above 2<sup>31</sup>-1, or the minimum number
     *     of pages is above the maximum
     */
    static TuningPolicy ksmtuned(Map<String, Long> parameters) {
        return new KsmtunedPolicy(parameters)::decide;
    }

    /**
     * Returns a policy that merges as {@link #converge} does while memory is short, and stops {@code ksmd} otherwise;
     * merged pages stay merged. Memory becomes short when less than a tenth of it is available, or tasks are stalled on
     * memory for a tenth of the time. It stays short until more than a fifth is available and stalls are less than half
     * as much.
     *
     * @param coreShare as for {@link #converge}
     * @return a policy for one tuner
     * @throws IllegalArgumentException as {@link #converge}
     */
    static TuningPolicy pressure(double coreShare) {
        return pressure(coreShare, 0.1, 0.2, 10);
    }

    /**
     * Returns a policy as {@link #pressure(double)} does, with other thresholds. Numbers that the machine does not
     * provide do not count as a shortage: without {@code /proc/pressure/memory}, only available memory matters.
     *
     * @param coreShare as for {@link #converge}
     * @param startBelow merge when less than this share of memory is available, 0 to 1
     * @param stopAbove stop when more than this share is available, {@code startBelow} to 1
     * @param stalledPercent merge when tasks were stalled on memory for this percentage of the last ten seconds; above
     *     0, and above 100 for never
     * @return a policy for one tuner
     * @throws IllegalArgumentException if a number is out of range
     */
    static TuningPolicy pressure(double coreShare, double startBelow, double stopAbove, double stalledPercent) {
        return new PressurePolicy(coreShare, startBelow, stopAbove, stalledPercent)::decide;
    }

    /**
     * Returns a policy that lets the kernel's advisor choose the pages to scan, so that a full scan takes a given time.
     * Since Linux 6.8.
     *
     * <p>On a kernel without the advisor, {@link #decide} throws {@link NoSuchSettingException}, and so does {@link
     * KsmTuner#start}.
     *
     * @param fullScan how long a full scan should take; truncated to whole seconds, at least one
     * @param coreShare how much of one core {@code ksmd} may take: 0.01 to 1, rounded to whole percents
     * @return a policy for one tuner
     * @throws IllegalArgumentException if a parameter is out of range
     */
    static TuningPolicy advisor(Duration fullScan, double coreShare) {
        return new AdvisorPolicy(fullScan, coreShare)::decide;
    }
}
