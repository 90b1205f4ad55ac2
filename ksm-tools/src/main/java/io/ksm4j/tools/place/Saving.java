// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.sketch.Sample;
import io.ksm4j.tools.sketch.Sketch;
import io.ksm4j.tools.sketch.Sketch.Machine;
import java.util.List;

/**
 * What merging saves if some processes are on one host, in bytes, computed like {@code ksm estimate}.
 *
 * @param within what would be saved if each process were alone
 * @param across what is saved in addition because processes have contents in common
 * @param saved the sum, less the copies that are kept because the number of mappings of a page is limited
 * @param error the maximum error of {@code saved} in 19 of 20 cases, due to sampling
 * @param cost the size of the kernel's records
 */
record Saving(long within, long across, long saved, long error, long cost) {

    static final Saving NONE = new Saving(0, 0, 0, 0, 0);

    /** Sizes of the kernel's records of a scanned page, a merged page and a process, of 64-bit kernels. */
    private static final long RMAP_ITEM = 64;

    private static final long STABLE_NODE = 64;
    private static final long MM_SLOT = 48;

    static Saving of(List<Sketch> sketches, Machine machine) {
        Sample union = Sample.union(sketches.stream().map(Sketch::sample).toList());
        long maxSharing = machine.maxPageSharing();
        double within = 0;
        double apart = 0;
        long zeros = 0;
        long cost = 0;
        for (Sketch sketch : sketches) {
            double kept = sketch.sample().below(union.threshold()).contents() + keptOfZeros(sketch.zeros(), machine);
            apart += kept;
            within += Math.max(0, sketch.pages() - kept);
            zeros += sketch.zeros();
            long known = sketch.pages() + sketch.shared() - (machine.useZeroPages() ? sketch.zeros() : 0);
            cost += known * RMAP_ITEM + MM_SLOT;
        }
        double across = Math.max(0, apart - union.contents() - keptOfZeros(zeros, machine));
        long copiesOfZeros = machine.useZeroPages() || zeros < 2 ? 0 : Sample.copies(zeros, maxSharing);
        double extra = union.kept(maxSharing) - union.contents() + Math.max(0, copiesOfZeros - 1);
        double nodes = union.merged(maxSharing) + copiesOfZeros;
        long pageSize = machine.pageSize();
        return new Saving(
                (long) (within * pageSize),
                (long) (across * pageSize),
                (long) (Math.max(0, within + across - extra) * pageSize),
                (long) (2 * union.standardError(maxSharing) * pageSize),
                cost + Math.round(nodes * STABLE_NODE));
    }

    private static long keptOfZeros(long zeros, Machine machine) {
        return zeros > 0 && !machine.useZeroPages() ? 1 : 0;
    }

    Saving plus(Saving other) {
        return new Saving(
                within + other.within,
                across + other.across,
                saved + other.saved,
                (long) Math.hypot((double) error, (double) other.error),
                cost + other.cost);
    }

    long profit() {
        return saved - cost;
    }
}
