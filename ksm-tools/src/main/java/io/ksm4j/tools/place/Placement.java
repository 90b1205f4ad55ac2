// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.sketch.Sketch;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The result: which processes should be on which host, and what that saves.
 *
 * @param fleet the processes
 * @param groups the names of their groups
 * @param task what was to be placed
 * @param hosts the hosts that have processes
 * @param byGroup for each group, what its processes would save on one host
 * @param pairs the pairs that have most in common
 * @param evenly what processes would share if they were distributed evenly, whatever they have in common
 */
record Placement(
        Fleet fleet,
        List<String> groups,
        Task task,
        List<Host> hosts,
        List<Saving> byGroup,
        List<Pair> pairs,
        Saving evenly) {

    /**
     * A host.
     *
     * @param members the numbers of its processes
     * @param memory what they occupy before merging, in bytes
     * @param saving what merging saves
     */
    record Host(List<Integer> members, long memory, Saving saving) {}

    /**
     * Two processes.
     *
     * @param first the number of one
     * @param second the number of the other
     * @param saving what they would save on one host
     */
    record Pair(int first, int second, Saving saving) {}

    static Placement of(Fleet fleet, List<String> groups, Task task, int[] hostOf, int pairs) throws IOException {
        List<Host> hosts = new ArrayList<>();
        for (List<Integer> members : byNumber(hostOf, task.hosts())) {
            if (!members.isEmpty()) {
                long memory = members.stream()
                        .mapToLong(member -> sketch(fleet, member).memory())
                        .sum();
                hosts.add(new Host(members, memory, saving(fleet, members)));
            }
        }
        Saving evenly = byNumber(task.evenly(), task.hosts()).stream()
                .map(members -> saving(fleet, members))
                .reduce(Saving.NONE, Saving::plus);
        int[] groupOf = new int[task.processes()];
        for (int process = 0; process < groupOf.length; process++) {
            groupOf[process] = task.group(process);
        }
        List<Saving> byGroup = byNumber(groupOf, groups.size()).stream()
                .map(members -> saving(fleet, members))
                .toList();
        return new Placement(fleet, groups, task, hosts, byGroup, pairs(fleet, task.sharing(), pairs), evenly);
    }

    private static List<Pair> pairs(Fleet fleet, Sharing sharing, int count) throws IOException {
        List<Pairs.Pair> most = Pairs.most(sharing, count);
        Set<Integer> members = new HashSet<>();
        most.forEach(pair -> members.addAll(List.of(pair.first(), pair.second())));
        Map<Integer, Sketch> complete = fleet.complete(members);
        return most.stream()
                .map(pair -> new Pair(
                        pair.first(),
                        pair.second(),
                        Saving.of(List.of(complete.get(pair.first()), complete.get(pair.second())), fleet.machine())))
                .sorted((a, b) -> Long.compare(b.saving.across(), a.saving.across()))
                .toList();
    }

    /** Returns, for each number, the positions that have it. */
    private static List<List<Integer>> byNumber(int[] numbers, int count) {
        List<List<Integer>> positions = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            positions.add(new ArrayList<>());
        }
        for (int i = 0; i < numbers.length; i++) {
            positions.get(numbers[i]).add(i);
        }
        return positions;
    }

    private static Sketch sketch(Fleet fleet, int member) {
        return fleet.members().get(member).sketch();
    }

    private static Saving saving(Fleet fleet, List<Integer> members) {
        return Saving.of(members.stream().map(member -> sketch(fleet, member)).toList(), fleet.machine());
    }

    /** Returns what all hosts save. */
    Saving total() {
        return hosts.stream().map(Host::saving).reduce(Saving.NONE, Saving::plus);
    }

    String name(int member) {
        return fleet.members().get(member).name();
    }

    String group(int member) {
        return sketch(member).group();
    }

    Sketch sketch(int member) {
        return sketch(fleet, member);
    }
}
