// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** What is to be placed, and within which limits. Processes, groups and hosts are numbers from 0. */
final class Task {

    private final Sharing sharing;
    private final int hosts;
    private final double maxMemory;
    private final double[] memory;
    private final double pageSize;
    private final int[] groups;
    private final int[] maxOfGroup;

    /**
     * Creates a task.
     *
     * @param sharing what the processes have in common
     * @param hosts how many hosts there are
     * @param maxMemory the maximum memory of a host in bytes
     * @param memory the memory of each process in bytes
     * @param pageSize what a page that processes share subtracts from the memory of a host: the page size, or 0 if
     *     there has to be memory for pages that no longer merge
     * @param groups the group of each process
     * @param maxOfGroup how many processes of each group a host may have
     */
    Task(
            Sharing sharing,
            int hosts,
            double maxMemory,
            double[] memory,
            double pageSize,
            int[] groups,
            int[] maxOfGroup) {
        this.sharing = sharing;
        this.hosts = hosts;
        this.maxMemory = maxMemory;
        this.memory = memory;
        this.pageSize = pageSize;
        this.groups = groups;
        this.maxOfGroup = maxOfGroup;
    }

    Task withMaxMemory(double max) {
        return new Task(sharing, hosts, max, memory, pageSize, groups, maxOfGroup);
    }

    Sharing sharing() {
        return sharing;
    }

    int processes() {
        return memory.length;
    }

    int hosts() {
        return hosts;
    }

    double maxMemory() {
        return maxMemory;
    }

    double memory(int process) {
        return memory[process];
    }

    double pageSize() {
        return pageSize;
    }

    int group(int process) {
        return groups[process];
    }

    int groups() {
        return maxOfGroup.length;
    }

    int maxOfGroup(int group) {
        return maxOfGroup[group];
    }

    /** Returns the processes by decreasing memory. */
    int[] byMemory() {
        return IntStream.range(0, memory.length)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer process) -> -memory[process]))
                .mapToInt(Integer::intValue)
                .toArray();
    }

    /**
     * Distributes the memory evenly, whatever the processes have in common: largest first, each to the host with the
     * least memory (LPT, Graham 1969). Respects the limits of groups, which must be possible, and ignores that of
     * memory.
     */
    int[] evenly() {
        int[] hostOf = new int[memory.length];
        double[] used = new double[hosts];
        int[][] ofGroup = new int[hosts][maxOfGroup.length];
        for (int process : byMemory()) {
            int group = groups[process];
            int host = IntStream.range(0, hosts)
                    .filter(each -> ofGroup[each][group] < maxOfGroup[group])
                    .boxed()
                    .min(Comparator.comparingDouble((Integer each) -> used[each]))
                    .orElseThrow();
            hostOf[process] = host;
            used[host] += memory[process];
            ofGroup[host][group]++;
        }
        return hostOf;
    }

    /** Returns the memory of the host that has the most, with what {@link #evenly} returns. */
    double maxOf(int[] hostOf) {
        double[] used = new double[hosts];
        for (int process = 0; process < memory.length; process++) {
            used[hostOf[process]] += memory[process];
        }
        return Arrays.stream(used).max().orElse(0);
    }
}
