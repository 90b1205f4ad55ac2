// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.sketch.Samples;
import io.ksm4j.tools.sketch.Sketch;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Processes with known pages and some limits. */
final class Instance {

    private final List<int[]> pages;
    private final int hosts;
    private final double maxPages;
    private final boolean mayOvercommit;
    private final int[] groups;
    private final int[] maxOfGroup;

    /**
     * Creates an instance.
     *
     * @param pages the contents of the pages of each process; a process has a content once
     * @param hosts how many hosts there are
     * @param maxPages how many pages a host may have
     * @param mayOvercommit whether that is after merging
     * @param groups the group of each process
     * @param maxOfGroup how many processes of a group a host may have
     */
    Instance(List<int[]> pages, int hosts, double maxPages, boolean mayOvercommit, int[] groups, int[] maxOfGroup) {
        this.pages = pages;
        this.hosts = hosts;
        this.maxPages = maxPages;
        this.mayOvercommit = mayOvercommit;
        this.groups = groups;
        this.maxOfGroup = maxOfGroup;
    }

    List<int[]> pages() {
        return pages;
    }

    /** Returns these processes with the limit before merging. */
    Instance withoutOvercommit() {
        return new Instance(pages, hosts, maxPages, false, groups, maxOfGroup);
    }

    /** Returns these processes with only these limits. */
    Instance withHosts(int count) {
        int[] unlimited = maxOfGroup.clone();
        Arrays.fill(unlimited, pages.size());
        return new Instance(pages, count, 1e9, true, groups, unlimited);
    }

    /** Returns processes with random parts of several common sets of contents, and some contents of their own. */
    static Instance random(long seed, int processes) {
        return random(seed, processes, 1);
    }

    /** Returns the same with more pages. */
    static Instance random(long seed, int processes, int scale) {
        SplittableRandom random = new SplittableRandom(seed);
        int sets = random.nextInt(1, 6);
        int[] sizes = random.ints(sets, 10 * scale, 400 * scale).toArray();
        List<int[]> pages = new ArrayList<>();
        double total = 0;
        double most = 0;
        for (int process = 0; process < processes; process++) {
            IntStream.Builder ofProcess = IntStream.builder();
            for (int set = 0; set < sets; set++) {
                if (random.nextInt(3) > 0) {
                    double part = random.nextDouble();
                    for (int i = 0; i < sizes[set]; i++) {
                        if (random.nextDouble() < part) {
                            ofProcess.add(set * 100_000 + i);
                        }
                    }
                }
            }
            int own = random.nextInt(scale, 300 * scale);
            for (int i = 0; i < own; i++) {
                ofProcess.add((process + 100) * 100_000 + i);
            }
            pages.add(ofProcess.build().toArray());
            total += pages.get(process).length;
            most = Math.max(most, pages.get(process).length);
        }
        int hosts = random.nextInt(2, Math.max(3, processes));
        double maxPages = Math.max(most, total / hosts) * random.nextDouble(1.1, 2);
        int[] groups = random.ints(processes, 0, 3).toArray();
        int[] maxOfGroup =
                random.ints(3, (processes + hosts - 1) / hosts, processes + 1).toArray();
        return new Instance(pages, hosts, maxPages, random.nextBoolean(), groups, maxOfGroup);
    }

    /** Returns the task with samples of at most this many contents. */
    Task task(int capacity) {
        List<Sketch> sketches = pages.stream()
                .map(ofProcess -> Samples.sketch(capacity, "group", ofProcess))
                .toList();
        return new Task(
                new Sharing(sketches.stream().map(Sketch::sample).toList(), 1_000_000),
                hosts,
                maxPages * 4096,
                pages.stream()
                        .mapToDouble(ofProcess -> ofProcess.length * 4096.0)
                        .toArray(),
                mayOvercommit ? 4096 : 0,
                groups,
                maxOfGroup);
    }

    /** Returns how many pages of some processes are saved because others of them have the same. */
    static int shared(List<int[]> processes) {
        return processes.stream().mapToInt(pages -> pages.length).sum()
                - (int) processes.stream()
                        .flatMapToInt(Arrays::stream)
                        .distinct()
                        .count();
    }

    private List<List<Integer>> byHost(int[] hostOf) {
        List<List<Integer>> byHost = new ArrayList<>();
        for (int host = 0; host < hosts; host++) {
            int of = host;
            byHost.add(IntStream.range(0, hostOf.length)
                    .filter(process -> hostOf[process] == of)
                    .boxed()
                    .toList());
        }
        return byHost;
    }

    int shared(int[] hostOf) {
        return byHost(hostOf).stream()
                .mapToInt(members -> shared(members.stream().map(pages::get).toList()))
                .sum();
    }

    boolean isAllowed(int[] hostOf) {
        return byHost(hostOf).stream().allMatch(this::isAllowed);
    }

    private boolean isAllowed(List<Integer> members) {
        List<int[]> ofMembers = members.stream().map(pages::get).toList();
        int used = ofMembers.stream().mapToInt(each -> each.length).sum() - (mayOvercommit ? shared(ofMembers) : 0);
        Map<Integer, Integer> ofGroup = new HashMap<>();
        members.forEach(member -> ofGroup.merge(groups[member], 1, Integer::sum));
        return used <= maxPages
                && ofGroup.entrySet().stream().allMatch(group -> group.getValue() <= maxOfGroup[group.getKey()]);
    }

    /** Returns how many pages the best of all groupings shares; -1 if none is allowed. */
    int optimum() {
        int all = 1 << pages.size();
        int[] shared = new int[all];
        for (int set = 1; set < all; set++) {
            List<Integer> members = members(set);
            shared[set] =
                    isAllowed(members) ? shared(members.stream().map(pages::get).toList()) : -1;
        }
        return optimum(shared, new int[hosts], 0, 0);
    }

    private List<Integer> members(int set) {
        return IntStream.range(0, pages.size())
                .filter(process -> (set >>> process & 1) != 0)
                .boxed()
                .toList();
    }

    /** Tries each host that has processes, and one that has none, for each further process. */
    private int optimum(int[] shared, int[] setOf, int used, int process) {
        if (process == pages.size()) {
            return Arrays.stream(setOf, 0, used).map(set -> shared[set]).sum();
        }
        int best = -1;
        for (int host = 0; host < Math.min(used + 1, hosts); host++) {
            setOf[host] |= 1 << process;
            if (shared[setOf[host]] >= 0) {
                best = Math.max(best, optimum(shared, setOf, Math.max(used, host + 1), process + 1));
            }
            setOf[host] ^= 1 << process;
        }
        return best;
    }

    @Override
    public String toString() {
        return pages.stream().map(ofProcess -> ofProcess.length).toList() + " pages, at most " + maxPages
                + " on each of "
                + hosts + " hosts" + (mayOvercommit ? " after merging" : "") + ", groups " + Arrays.toString(groups)
                + ", at most " + Arrays.toString(maxOfGroup);
    }
}
