// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * How to check for memory before merged pages are unmerged. The kernel copies all of them at once. If there is no
 * memory for the copies, it does not return an errno but invokes the OOM killer.
 *
 * <p>The check compares an upper bound for the bytes of merged pages with the headroom, less a reserve of 16 MiB for
 * what other code allocates in the meantime. The headroom is the minimum of {@code MemAvailable} and of what each
 * memory cgroup of the process (v1 or v2, including ancestors) has left below its limits, counting file pages as
 * available.
 *
 * <p>A limit that cannot be read is not treated as absent: the unmark is refused, and the message names the file. This
 * happens if {@code /proc} or the file system of the process's memory cgroup is not mounted, if one of their files is
 * hidden or malformed, or if the process is out of file descriptors. A kernel without cgroups has no such limit. In a
 * container, cgroup v2 limits set above its cgroup namespace are not visible, and are therefore not checked.
 *
 * <p>Small unmarks skip the check: it is made once all threads together have unmarked 4 MiB since the last check that
 * succeeded. Large unmarks are checked one at a time, so that two of them do not count on the same memory. Closing an
 * allocated region frees its pages without copying, and fallback regions never merge, so neither is ever refused.
 *
 * @since 0.1.0
 */
public enum Unmerge {

    /** Checks before anything is changed, and throws {@link UnmergeRefusedException} if the copies do not fit. */
    CHECKED,

    /**
     * Unmarks in steps of 16 MiB and checks before each one. The first copies may free shared pages, and other
     * processes may free memory, that later steps need.
     *
     * <p>If a step does not fit, everything is marked again and {@link UnmergeRefusedException} reports how much had
     * been unmarked. The copies remain until {@code ksmd} merges them again, so another attempt has less to copy.
     */
    STEPWISE,

    /** Does not check. The kernel may kill the process. */
    UNCHECKED
}
