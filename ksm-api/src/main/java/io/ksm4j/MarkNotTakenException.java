// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.List;

/**
 * Thrown when the kernel accepted the advice but ignored it, so no page of these ranges will ever merge. It ignores the
 * advice for shared mappings, huge-page mappings and device memory.
 *
 * <p>ksm4j detects this from {@code VmFlags} in {@code /proc/self/smaps} and unmarks the rest of the range, so that
 * nothing has changed. In a process that is opted in as a whole, however, the rest stays mergeable.
 *
 * @since 0.1.0
 */
public final class MarkNotTakenException extends KsmException {

    private static final long serialVersionUID = 1;

    /** The ranges that were left unmarked. */
    private final AddressRange[] ranges;

    MarkNotTakenException(List<AddressRange> ranges) {
        super("the kernel accepted madvise(MADV_MERGEABLE) but did not mark " + ranges
                + ": shared mappings, huge-page mappings and device memory never merge; copy the data into an"
                + " allocated region, or adopt the memory without verifying marks");
        this.ranges = ranges.toArray(AddressRange[]::new);
    }

    /**
     * Returns the ranges that the kernel did not mark.
     *
     * @return the ranges, sorted by address; at least one
     */
    public List<AddressRange> ranges() {
        return List.of(ranges);
    }
}
