// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.List;

/**
 * What this machine supports, and what prevents merging. See {@link Ksm#support()}.
 *
 * @param backend the name of the backend that was used for the check
 * @param canMark whether this process can mark memory mergeable, tested on a page of its own
 * @param canMerge whether marked pages will merge: {@code canMark}, and {@code ksmd} is running
 * @param obstacles everything that prevents merging; empty if {@code canMerge}
 * @since 0.1.0
 */
public record KsmSupport(String backend, boolean canMark, boolean canMerge, List<Obstacle> obstacles) {

    /** Creates a result with an unmodifiable copy of the list. */
    public KsmSupport {
        obstacles = List.copyOf(obstacles);
    }

    /**
     * One reason that prevents merging.
     *
     * @param kind the kind of obstacle, for programs
     * @param explanation what the obstacle is and how to remove it, for people
     * @since 0.1.0
     */
    public record Obstacle(Kind kind, String explanation) {}

    /**
     * The kinds of obstacles.
     *
     * @since 0.1.0
     */
    public enum Kind {
        /** The operating system has no Kernel Samepage Merging. */
        NOT_LINUX,
        /** The kernel was built without {@code CONFIG_KSM}. */
        KERNEL_WITHOUT_KSM,
        /** A seccomp filter or another policy forbids the {@code madvise} call. */
        ADVICE_FORBIDDEN,
        /** {@code ksmd} is stopped. */
        DAEMON_STOPPED,
        /** {@code ksmd} is stopped, and this process has no permission to start it. */
        NO_PERMISSION_TO_START,
        /**
         * {@code /sys/kernel/mm/ksm} cannot be read, so whether {@code ksmd} is running is unknown. Some containers
         * hide it.
         */
        DAEMON_UNKNOWN,
        /** The regions are those of {@link Ksm#fallback()}, whose marks are recorded but have no effect. */
        FALLBACK
    }
}
