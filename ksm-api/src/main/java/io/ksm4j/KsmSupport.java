package io.ksm4j;

import java.util.List;

/**
 * What this machine can do, and what is in the way.
 *
 * @param backend the name of the backend that was asked
 * @param canMark whether the kernel takes advice, tried on a page of our own
 * @param canMerge whether marked pages will merge: the kernel takes advice and {@code ksmd} runs
 * @param obstacles everything in the way of merging; empty if {@code canMerge}
 */
public record KsmSupport(String backend, boolean canMark, boolean canMerge, List<Obstacle> obstacles) {

    /** Makes the list unmodifiable. */
    public KsmSupport {
        obstacles = List.copyOf(obstacles);
    }

    /**
     * One thing in the way.
     *
     * @param kind what it is, for programs
     * @param explanation what it is and what cures it, for people
     */
    public record Obstacle(Kind kind, String explanation) {}

    /** What can be in the way. */
    public enum Kind {
        /** The operating system has no Kernel Samepage Merging. */
        NOT_LINUX,
        /** The kernel was built without {@code CONFIG_KSM}. */
        KERNEL_WITHOUT_KSM,
        /** A seccomp filter or another policy forbids the advice. */
        ADVICE_FORBIDDEN,
        /** {@code ksmd} does not run. */
        DAEMON_STOPPED,
        /** {@code ksmd} does not run, and this process has no right to start it. */
        NO_PERMISSION_TO_START,
        /** {@code /sys/kernel/mm/ksm} cannot be read, so it is unknown whether {@code ksmd} runs; some containers hide it. */
        DAEMON_UNKNOWN,
        /** The regions are those of {@link Ksm#fallback()}, whose advice is recorded and does nothing. */
        FALLBACK
    }
}
