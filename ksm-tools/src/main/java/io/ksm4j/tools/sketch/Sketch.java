// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

/**
 * What is known about the memory of a process. Counts are numbers of pages.
 *
 * @param pid its PID
 * @param name its main class, or the kernel's name
 * @param group the processes that it is one of, such as the replicas of a service; a label value of Kubernetes
 * @param memory its resident memory in bytes, of all kinds
 * @param pages pages that {@code ksmd} could merge and that were read
 * @param zeros how many of those contain only zeros
 * @param shared further pages of the process whose frame is already one of the pages read
 * @param sample the contents of the pages read, without zeros
 */
public record Sketch(
        long pid, String name, String group, long memory, long pages, long zeros, long shared, Sample sample) {

    /** What a label value of Kubernetes may be. */
    private static final String LABEL = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?";

    /**
     * What is the same for all processes of a machine.
     *
     * @param key the ID of the key
     * @param pageSize the page size in bytes
     * @param maxPageSharing the maximum number of mappings that share a page
     * @param useZeroPages whether zero-filled pages are replaced by the kernel's zero page
     */
    public record Machine(long key, int pageSize, long maxPageSharing, boolean useZeroPages) {

        /** Describes the machine on which this key is used. */
        public Machine(FleetKey key, int pageSize, long maxPageSharing, boolean useZeroPages) {
            this(key.id(), pageSize, maxPageSharing, useZeroPages);
        }
    }

    /** {@return whether a group may have this name} */
    public static boolean isGroup(String name) {
        return name.matches(LABEL);
    }

    /** Returns the group of a process of this name, if no other is specified. */
    public static String groupOf(String name) {
        String label = name.replaceAll("[^A-Za-z0-9._-]+", "-").replaceAll("^[._-]+", "");
        label = label.substring(Math.max(0, label.length() - 63)).replaceAll("^[._-]+|[._-]+$", "");
        return label.isEmpty() ? "process" : label;
    }

    /** Returns this sketch with a sample whose threshold is at most its own. */
    public Sketch below(long threshold) {
        return new Sketch(pid, name, group, memory, pages, zeros, shared, sample.below(threshold));
    }
}
