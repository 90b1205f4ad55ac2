// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import java.util.Arrays;

/**
 * Which process is on which host, and what each would share on each host. Changing that costs time for the classes that
 * begin or cease to be on a host; looking at all possible moves costs none. For use by one thread.
 */
final class Grouping {

    static final int NOWHERE = -1;

    private final Task task;
    private final Sharing sharing;

    private final int[] hostOf;
    private final double[] used;
    private final int[][] ofGroup;

    /** By host and process: how many pages of the process another process on that host also has. */
    private final double[][] common;

    /**
     * How many processes on a host have a class. A class with many members has an element for each host, and another
     * one a short list: an element for each host on which it is.
     */
    private final int[] counts;

    private final int[] hostOfCount;
    private final int[] countStart;
    private final int[] countSize;

    private double shared;

    /** Creates a grouping with no process on any host. */
    Grouping(Task task) {
        this.task = task;
        this.sharing = task.sharing();
        hostOf = new int[task.processes()];
        Arrays.fill(hostOf, NOWHERE);
        used = new double[task.hosts()];
        ofGroup = new int[task.hosts()][task.groups()];
        common = new double[task.hosts()][task.processes()];
        countStart = new int[sharing.classes() + 1];
        for (int c = 0; c < sharing.classes(); c++) {
            countStart[c + 1] = countStart[c] + (hasAllHosts(c) ? task.hosts() : sharing.members(c));
        }
        countSize = new int[sharing.classes()];
        counts = new int[countStart[sharing.classes()]];
        hostOfCount = new int[counts.length];
    }

    /** Returns the memory that a grouping takes, in bytes. */
    static long bytes(Task task) {
        return (long) task.hosts() * task.processes() * Double.BYTES
                + 2L * 2 * task.sharing().size() * Integer.BYTES
                + (long) task.hosts() * task.groups() * Integer.BYTES;
    }

    int[] hosts() {
        return hostOf.clone();
    }

    int hostOf(int process) {
        return hostOf[process];
    }

    /** Returns the memory of a host. */
    double used(int host) {
        return used[host];
    }

    /** Returns how many pages of a process another process on a host also has. */
    double common(int process, int host) {
        return common[host][process];
    }

    /** Returns how many pages all processes save because they share them. */
    double shared() {
        return shared;
    }

    /** {@return whether the limits allow a further process on a host} */
    boolean fits(int process, int host) {
        int group = task.group(process);
        return ofGroup[host][group] < task.maxOfGroup(group)
                && used[host] + task.memory(process) - task.pageSize() * common[host][process] <= task.maxMemory();
    }

    /** Puts a process that is nowhere on a host. */
    void add(int process, int host) {
        hostOf[process] = host;
        ofGroup[host][task.group(process)]++;
        shared += common[host][process];
        used[host] += task.memory(process) - task.pageSize() * common[host][process];
        for (int i = sharing.firstClass(process); i < sharing.firstClass(process + 1); i++) {
            int c = sharing.classAt(i);
            int before = change(c, host, 1);
            if (before < 2) {
                spread(c, host, process, before == 0, sharing.weight(c));
            }
        }
    }

    /** Takes a process off its host. */
    void remove(int process) {
        int host = hostOf[process];
        hostOf[process] = NOWHERE;
        ofGroup[host][task.group(process)]--;
        shared -= common[host][process];
        used[host] -= task.memory(process) - task.pageSize() * common[host][process];
        for (int i = sharing.firstClass(process); i < sharing.firstClass(process + 1); i++) {
            int c = sharing.classAt(i);
            int after = change(c, host, -1) - 1;
            if (after < 2) {
                spread(c, host, process, after == 0, -sharing.weight(c));
            }
        }
    }

    /**
     * Adds a weight to what others have in common with a host: all members of the class if the process is the only one
     * there that has it, else the one other member on the host.
     */
    private void spread(int c, int host, int process, boolean isOnly, double weight) {
        double[] ofHost = common[host];
        for (int i = sharing.firstMember(c); i < sharing.firstMember(c + 1); i++) {
            int member = sharing.member(i);
            if (member != process && (isOnly || hostOf[member] == host)) {
                ofHost[member] += weight;
            }
        }
    }

    /** Changes a count. Returns what it was before. */
    private int change(int c, int host, int by) {
        int at = find(c, host);
        if (at < 0) {
            at = countStart[c] + countSize[c]++;
            hostOfCount[at] = host;
        }
        int before = counts[at];
        counts[at] += by;
        if (counts[at] == 0 && !hasAllHosts(c)) {
            int last = countStart[c] + --countSize[c];
            counts[at] = counts[last];
            hostOfCount[at] = hostOfCount[last];
            counts[last] = 0;
        }
        return before;
    }

    /** All elements together are at most twice as many as members, and no list is longer than half the hosts. */
    private boolean hasAllHosts(int c) {
        return sharing.members(c) >= task.hosts() / 2;
    }

    /** Returns the position of a count, or -1 if the class is not on the host and has no element for it. */
    private int find(int c, int host) {
        if (hasAllHosts(c)) {
            return countStart[c] + host;
        }
        for (int i = countStart[c]; i < countStart[c] + countSize[c]; i++) {
            if (hostOfCount[i] == host) {
                return i;
            }
        }
        return -1;
    }

    private int count(int c, int host) {
        int at = find(c, host);
        return at < 0 ? 0 : counts[at];
    }

    /** Returns how many more pages are saved when a process moves to another host. */
    double gainOfMove(int process, int host) {
        return common[host][process] - common[hostOf[process]][process];
    }

    /** Returns at least as much as {@link #gainOfSwap}, in less time. */
    double maxGainOfSwap(int process, int other) {
        return gainOfMove(process, hostOf[other]) + gainOfMove(other, hostOf[process]);
    }

    /**
     * Returns how many more pages are saved when two processes on different hosts change places; negative infinity if
     * the limits do not allow that.
     */
    double gainOfSwap(int process, int other) {
        int from = hostOf[process];
        int to = hostOf[other];
        // Nothing changes for a class that both have. Counted as two moves, each of them would find it at the other's.
        double onlyFrom = 0;
        double onlyTo = 0;
        int i = sharing.firstClass(process);
        int j = sharing.firstClass(other);
        while (i < sharing.firstClass(process + 1) && j < sharing.firstClass(other + 1)) {
            int c = sharing.classAt(i);
            int order = Integer.compare(c, sharing.classAt(j));
            if (order == 0) {
                onlyFrom += count(c, from) == 1 ? sharing.weight(c) : 0;
                onlyTo += count(c, to) == 1 ? sharing.weight(c) : 0;
            }
            i += order <= 0 ? 1 : 0;
            j += order >= 0 ? 1 : 0;
        }
        boolean isAllowed = isAllowed(process, other, onlyTo) && isAllowed(other, process, onlyFrom);
        return isAllowed ? maxGainOfSwap(process, other) - onlyFrom - onlyTo : Double.NEGATIVE_INFINITY;
    }

    /** {@return whether a process may be on the host of another, in place of that one} */
    private boolean isAllowed(int process, int other, double onlyOther) {
        int host = hostOf[other];
        int group = task.group(process);
        double ofOther = task.memory(other) - task.pageSize() * common[host][other];
        double ofProcess = task.memory(process) - task.pageSize() * (common[host][process] - onlyOther);
        return used[host] - ofOther + ofProcess <= task.maxMemory()
                && (group == task.group(other) || ofGroup[host][group] < task.maxOfGroup(group));
    }
}
