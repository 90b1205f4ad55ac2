// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.List;

/**
 * Thrown when all or part of a range is not mapped. According to {@code madvise(2)}, the kernel applies the advice to
 * the mapped rest before it fails; ksm4j reverts that, so that nothing has changed.
 *
 * <p>In a process that is opted in as a whole, ksm4j cannot tell what was mergeable before and does not revert it: a
 * failed mark leaves the mapped rest mergeable, and a failed unmark leaves it mergeable only where a region is marked.
 *
 * @since 0.1.0
 */
public final class UnmappedRangeException extends KsmException {

    private static final long serialVersionUID = 1;

    /** The ranges that are not mapped. */
    private final AddressRange[] gaps;

    UnmappedRangeException(FailedCall failedCall, List<AddressRange> gaps, AddressRange range, boolean isOptedIn) {
        super(failedCall, explanation(failedCall.kind(), gaps, range, isOptedIn));
        this.gaps = gaps.toArray(new AddressRange[0]);
    }

    private static String explanation(
            FailedCall.Kind call, List<AddressRange> gaps, AddressRange range, boolean isOptedIn) {
        boolean isMark = call == FailedCall.Kind.MARK;
        boolean isUnmark = call == FailedCall.Kind.UNMARK;
        if (gaps.get(0).length() == range.length()) {
            return isMark
                    ? "the range is not mapped: check the address, and whether the memory has already been unmapped"
                    : "the range is not mapped: its memory has been unmapped, so close the region";
        }
        String found = "nothing is mapped at " + gaps;
        if (isMark) {
            return found
                    + (isOptedIn
                            ? "; the mapped rest is mergeable now, because the whole process is opted in"
                            : "; the mapped rest is unchanged")
                    + ": adopt the mapped parts separately";
        }
        if (isUnmark) {
            return found
                    + (isOptedIn
                            ? "; the mapped rest is mergeable only where a region is marked"
                            : "; the mapped rest is unchanged")
                    + ": unmark the mapped parts separately, or close the region";
        }
        return found + ": parts of the region's memory have been unmapped, so close it";
    }

    /**
     * Returns the parts that are not mapped.
     *
     * @return the gaps, sorted by address; at least one
     */
    public List<AddressRange> gaps() {
        return List.of(gaps);
    }
}
