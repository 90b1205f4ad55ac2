package io.ksm4j;

import java.util.List;

/**
 * Nothing is mapped in parts of the range, or in all of it. The kernel advises the mapped rest all the same before it fails, as
 * {@code madvise(2)} says; ksm4j takes that back, so that nothing has changed.
 *
 * <p>In a process that is opted in as a whole, where ksm4j cannot tell what was mergeable before, the kernel's answer stays: a
 * failed mark leaves the mapped rest mergeable, and a failed unmark leaves it mergeable only where a region is marked.
 */
public final class UnmappedRangeException extends KsmException {

    private static final long serialVersionUID = 1;

    /** Where nothing is mapped. */
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
                    ? "nothing is mapped there: check the address, and whether the memory was unmapped before"
                    : "nothing is mapped there: the memory was unmapped before, so close its region";
        }
        String found = "nothing is mapped at " + gaps;
        if (isMark) {
            return found
                    + (isOptedIn
                            ? "; the mapped rest is mergeable now, as the process is opted in as a whole"
                            : "; the mapped rest is as it was before")
                    + ": adopt the mapped parts one by one";
        }
        if (isUnmark) {
            return found
                    + (isOptedIn
                            ? "; the mapped rest is mergeable only where a region is marked"
                            : "; the mapped rest is as it was before")
                    + ": unmark the mapped parts one by one, or close the region";
        }
        return found + ": parts of the region's memory were unmapped, so close it";
    }

    /**
     * Where nothing is mapped.
     *
     * @return the gaps in order of address, at least one
     */
    public List<AddressRange> gaps() {
        return List.of(gaps);
    }
}
