// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.MemoryLeft;

/**
 * Thrown when merged pages were not unmerged because there is not enough memory for the copies, and the kernel would
 * have invoked the OOM killer on this machine or cgroup; or because a limit cannot be read. The memory is still marked
 * as before. See {@link Unmerge}.
 *
 * @since 0.1.0
 */
public final class UnmergeRefusedException extends KsmException {

    private static final long serialVersionUID = 1;

    /** How much must be copied. */
    private final long neededBytes;

    /** The headroom. */
    private final long leftBytes;

    /** What limits the headroom. */
    private final String limitedBy;

    /** What was unmarked before the refusal, and marked again. */
    private final long unmarkedBytes;

    UnmergeRefusedException(String what, long neededBytes, MemoryLeft.Left left, long reserve, long unmarkedBytes) {
        super(what + " was refused"
                + (unmarkedBytes == 0 ? "" : " after unmarking " + unmarkedBytes + " bytes, which are marked again")
                + ": up to " + neededBytes + " bytes of merged pages must be copied, but "
                + (left.unreadable() == null
                        ? left.limitedBy() + " leaves " + left.bytes() + " bytes, of which " + reserve
                                + " are reserved: free memory, raise the limit, unmark in parts or with"
                                + " Unmerge.STEPWISE, or use Unmerge.UNCHECKED at the risk of being killed"
                        : "the headroom is unknown, because " + left.limitedBy() + " cannot be read ("
                                + left.unreadable() + "): make it readable, or use Unmerge.UNCHECKED at the risk of"
                                + " being killed"));
        this.neededBytes = neededBytes;
        this.leftBytes = left.bytes();
        this.limitedBy = left.limitedBy();
        this.unmarkedBytes = unmarkedBytes;
    }

    /**
     * Returns how much memory must be copied to complete the operation.
     *
     * @return bytes of merged pages, including those merged with the zero page; an upper bound if the kernel does not
     *     report the exact number
     */
    public long neededBytes() {
        return neededBytes;
    }

    /**
     * Returns the headroom at the last check.
     *
     * @return bytes, including the reserve of 16 MiB; 0 if it cannot be read
     */
    public long leftBytes() {
        return leftBytes;
    }

    /**
     * Returns what limits the headroom.
     *
     * @return {@code MemAvailable of /proc/meminfo}, or the path of the cgroup file with the limit; if the headroom is
     *     unknown, the file that cannot be read
     */
    public String limitedBy() {
        return limitedBy;
    }

    /**
     * Returns how much {@link Unmerge#STEPWISE} had unmarked before it was refused.
     *
     * @return the size in bytes of the address ranges that were unmarked, and are marked again; 0 if nothing was
     *     unmarked
     */
    public long unmarkedBytes() {
        return unmarkedBytes;
    }

    /** {@return true: memory may become free, and after {@link Unmerge#STEPWISE} there is less to copy} */
    @Override
    public boolean mayRetry() {
        return true;
    }
}
