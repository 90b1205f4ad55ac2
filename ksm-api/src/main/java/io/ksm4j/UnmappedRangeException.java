package io.ksm4j;

import java.util.List;

/**
 * Parts of the range are not mapped. The kernel advises the mapped rest all the same before it fails, as {@code madvise(2)}
 * says; ksm4j has taken that back, so that nothing has changed.
 */
public final class UnmappedRangeException extends KsmException {

    private static final long serialVersionUID = 1;

    /** Where nothing is mapped. */
    private final AddressRange[] gaps;

    UnmappedRangeException(FailedCall failedCall, List<AddressRange> gaps, String explanation) {
        super(failedCall, explanation);
        this.gaps = gaps.toArray(AddressRange[]::new);
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
