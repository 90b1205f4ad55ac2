package io.ksm4j;

import java.util.List;

/**
 * The kernel accepted the advice and ignored it: no page of these ranges will ever merge. It does so for shared mappings,
 * huge-page mappings and device memory. ksm4j found that out by looking at {@code VmFlags} in {@code /proc/self/smaps}, and
 * has taken the mark of the rest of the range back, so that nothing has changed; but in a process that is opted in as a whole, the
 * rest stays mergeable.
 */
public final class MarkNotTakenException extends KsmException {

    private static final long serialVersionUID = 1;

    /** What was left unmarked. */
    private final AddressRange[] ranges;

    MarkNotTakenException(List<AddressRange> ranges) {
        super(
                "the kernel accepted madvise(MADV_MERGEABLE) but did not mark " + ranges
                        + ": shared mappings, huge-page mappings"
                        + " and device memory never merge; copy the data into a region of its own, or adopt it without verifying");
        this.ranges = ranges.toArray(AddressRange[]::new);
    }

    /**
     * What the kernel left unmarked.
     *
     * @return the ranges in order of address, at least one
     */
    public List<AddressRange> ranges() {
        return List.of(ranges);
    }
}
