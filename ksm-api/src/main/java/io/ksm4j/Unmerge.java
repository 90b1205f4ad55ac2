package io.ksm4j;

/**
 * What to do before merged pages are taken apart. The kernel copies every one of them at once, and kills the process when
 * there is no memory for the copies: it has no errno for that.
 *
 * <p>Compared are the bytes of merged pages, at most, and what is left: the least of {@code MemAvailable} and what every memory
 * cgroup that the process is in has below its limits (v1 or v2, file pages counted as left), less a reserve of
 * 16 MiB for what others take meanwhile.
 *
 * <p>A limit that cannot be read is not taken for none: the unmark is refused, and the message names the file. That happens where
 * {@code /proc} or the file system of the process's memory cgroup is not mounted, a file of them is hidden or garbage, or the process
 * has no file descriptor left. A kernel without cgroups has no such limit. Limits of version 2 that are set above the cgroup
 * namespace of a container are visible nowhere in it, and so are not looked at.
 *
 * <p>Small unmarks are not looked at: the look is made when all threads have unmarked 4 MiB since the last one that found room.
 * Large ones take turns, so that none counts on memory that another is about to take. Allocated regions drop their pages when
 * they are closed, and fallback regions never merge: neither is ever refused.
 */
public enum Unmerge {

    /** Refused with {@link UnmergeRefusedException}, before anything is changed, if the copies do not fit into what is left. */
    CHECKED,

    /**
     * In steps of 16 MiB, with a look before each: the first copies may free shared pages, and other processes memory, that later
     * ones need. Where a step does not fit, all is marked again and {@link UnmergeRefusedException} says how far it came. The
     * copies made stay until {@code ksmd} merges them again, so a second try has less to do.
     */
    STEPWISE,

    /** Without a look. The kernel may kill the process. */
    UNCHECKED
}
