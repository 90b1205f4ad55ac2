package io.ksm4j;

import io.ksm4j.internal.linux.MemoryLeft;

/**
 * Merged pages were not taken apart because there is not enough memory for the copies, and the kernel would have killed a process of
 * this machine or cgroup; or because a limit cannot be read. What was to be unmarked is marked as it was. See {@link Unmerge}.
 */
public final class UnmergeRefusedException extends KsmException {

    private static final long serialVersionUID = 1;

    /** What must be copied. */
    private final long neededBytes;

    /** What is left. */
    private final long leftBytes;

    /** What sets the limit. */
    private final String limitedBy;

    /** What was unmarked before, and marked again. */
    private final long unmarkedBytes;

    UnmergeRefusedException(String what, long neededBytes, MemoryLeft.Left left, long reserve, long unmarkedBytes) {
        super(what + " was refused"
                + (unmarkedBytes == 0 ? "" : " after " + unmarkedBytes + " bytes, which are marked again")
                + ": up to " + neededBytes + " bytes of merged pages must be copied, and "
                + (left.unreadable() == null
                        ? left.limitedBy() + " leaves " + left.bytes() + " bytes, of which " + reserve
                                + " are kept in reserve: free memory or raise the limit, unmark a part at a time or"
                                + " with Unmerge.STEPWISE, or with Unmerge.UNCHECKED at the risk of being killed"
                        : "how much memory is left is unknown, because " + left.limitedBy() + " cannot be read ("
                                + left.unreadable() + "): make it readable, or unmark with Unmerge.UNCHECKED at the"
                                + " risk of being killed"));
        this.neededBytes = neededBytes;
        this.leftBytes = left.bytes();
        this.limitedBy = left.limitedBy();
        this.unmarkedBytes = unmarkedBytes;
    }

    /**
     * How much must be copied to go through with it.
     *
     * @return bytes of merged pages, those merged with the zero page included; an upper bound where the kernel doesn't tell
     */
    public long neededBytes() {
        return neededBytes;
    }

    /**
     * How much memory was left at the last look.
     *
     * @return bytes, the reserve of 16 MiB included; at least 0, and 0 if it cannot be read
     */
    public long leftBytes() {
        return leftBytes;
    }

    /**
     * What leaves no more than that.
     *
     * @return {@code MemAvailable of /proc/meminfo}, or the path of a cgroup's file with the limit; the file that cannot be read if
     *     what is left is unknown
     */
    public String limitedBy() {
        return limitedBy;
    }

    /**
     * How far {@link Unmerge#STEPWISE} came.
     *
     * @return bytes of address ranges that were unmarked, and are marked again; 0 if nothing was touched
     */
    public long unmarkedBytes() {
        return unmarkedBytes;
    }

    /** True: memory may become free, and after {@link Unmerge#STEPWISE} there is less to copy. */
    @Override
    public boolean mayRetry() {
        return true;
    }
}
