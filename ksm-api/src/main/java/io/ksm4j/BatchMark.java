// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.registry.Slot;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Marks or unmarks many whole regions, either all or none of them, if that needs neither a lock nor a check nor a plan:
 * no other region shares pages with them. It does for many regions what {@link RegionState#markUnrecorded} does for
 * one, and allocates a few bytes for each. In all other cases, it leaves the change
 * to {@link MarkChange}.
 */
final class BatchMark {

    private final RegionState[] regions;
    private final AddressRange[] ranges;
    private final boolean mergeable;
    private final Kernel kernel;

    /** How many regions are owned, counted from the first. */
    private int owned;

    /** The call that failed, after which everything was undone. */
    private @Nullable FailedCall failed;

    private BatchMark(RegionState[] regions, boolean mergeable) {
        this.regions = regions;
        this.mergeable = mergeable;
        this.kernel = regions[0].kernel;
        this.ranges = new AddressRange[regions.length];
        for (int i = 0; i < regions.length; i++) {
            ranges[i] = regions[i].range;
        }
    }

    /**
     * Marks or unmarks regions.
     *
     * @param regions at least one region, all of the same kernel; repeated regions count once
     */
    static void apply(RegionState[] regions, boolean mergeable, Unmerge how) {
        if (needsCheck(regions, mergeable, how)
                || (JdkModules.isFlightRecorderInitialized() && RegionEvents.isRecorded(mergeable))) {
            MarkChange.apply(parts(regions), mergeable, how);
            return;
        }
        BatchMark batch = new BatchMark(regions, mergeable);
        if (!batch.tryApply()) {
            MarkChange.applyAtOnce(parts(regions), mergeable, batch.failed);
        }
    }

    private static boolean needsCheck(RegionState[] regions, boolean mergeable, Unmerge how) {
        long length = 0;
        for (RegionState region : regions) {
            if (mergeable && region.isMarkedWithCare()) {
                return true;
            }
            length += region.range.length();
        }
        return !mergeable && regions[0].kernel.mustCheckBeforeUnmerging(length, how);
    }

    private static List<MarkChange.Part> parts(RegionState[] regions) {
        return Arrays.stream(regions)
                .distinct()
                .flatMap(region -> region.whole().stream())
                .toList();
    }

    /** {@return false if nothing has changed, because a region is shared, busy or closed, or because a call failed} */
    private boolean tryApply() {
        // What follows cannot run out of stack while regions are owned.
        StackRoom.requireForChange();
        NativeBuffers.NativeBuffer buffer = kernel.batchAdvice.bufferFor(regions.length);
        FailedCall notUndone = null;
        boolean applied = false;
        try {
            // A region that is in the list twice is busy the second time.
            while (owned < regions.length && regions[owned].slot.tryAcquire()) {
                owned++;
            }
            if (owned == regions.length) {
                List<AddressRange> changing = requireAlive();
                try {
                    failed = kernel.batchAdvice.advise(Arrays.asList(ranges), RegionState.advice(mergeable), buffer);
                    applied = failed == null;
                } finally {
                    if (!applied) {
                        notUndone = kernel.undo(changing, RegionState.advice(!mergeable));
                    }
                }
            }
        } finally {
            release(applied);
            kernel.batchAdvice.giveBack(buffer);
            Kernel.report(notUndone);
        }
        return applied;
    }

    /**
     * Checks that the memory of all regions still exists.
     *
     * @return the ranges that the call will change, to be undone if it fails
     */
    private List<AddressRange> requireAlive() {
        List<AddressRange> changing = new ArrayList<>(ranges.length);
        for (RegionState region : regions) {
            region.requireAlive();
            if (region.slot.is(Slot.MARKED) != mergeable) {
                changing.add(region.range);
            }
        }
        return changing;
    }

    private void release(boolean applied) {
        long now = System.currentTimeMillis();
        long changed = 0;
        for (int i = 0; i < owned; i++) {
            Slot slot = regions[i].slot;
            if (applied && slot.is(Slot.MARKED) != mergeable) {
                changed += ranges[i].length();
                if (mergeable) {
                    slot.setSince(now);
                }
            }
        }
        regions[0].table.mergeableBytes.addAndGet(mergeable ? changed : -changed);
        for (int i = 0; i < owned; i++) {
            if (applied) {
                regions[i].slot.release(mergeable ? Slot.MARKED : 0, mergeable ? 0 : Slot.MARKED);
            } else {
                regions[i].slot.release(0, 0);
            }
        }
    }
}
