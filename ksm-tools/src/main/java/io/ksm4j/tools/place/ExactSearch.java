// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import java.util.Arrays;
import java.util.Optional;

/** Finds the best grouping of few processes: dynamic programming over all subsets. */
final class ExactSearch {

    /** 3 to the power of this many steps for each host. */
    static final int MAX_PROCESSES = 12;

    private final Task task;
    private final int all;

    private ExactSearch(Task task) {
        this.task = task;
        this.all = (1 << task.processes()) - 1;
    }

    /** Returns the host of each process; empty if the limits allow no grouping. */
    static Optional<int[]> best(Task task) {
        return new ExactSearch(task).best();
    }

    private Optional<int[]> best() {
        double[] shared = shared();
        boolean[] isAllowed = allowed(shared);
        int hosts = Math.min(task.hosts(), task.processes());
        // What the subset shares on that many hosts, and what the last of them has.
        double[][] best = new double[hosts + 1][all + 1];
        int[][] last = new int[hosts + 1][all + 1];
        for (double[] each : best) {
            Arrays.fill(each, Double.NEGATIVE_INFINITY);
        }
        best[0][0] = 0;
        int enough = 0;
        for (int host = 1; host <= hosts; host++) {
            for (int set = 1; set <= all; set++) {
                int lowest = Integer.lowestOneBit(set);
                // The host with the lowest process is one of them, so let it be the last.
                for (int part = set; part > 0; part = part - 1 & set) {
                    if ((part & lowest) != 0 && isAllowed[part]) {
                        double sum = best[host - 1][set ^ part] + shared[part];
                        if (sum > best[host][set]) {
                            best[host][set] = sum;
                            last[host][set] = part;
                        }
                    }
                }
            }
            if (best[host][all] > best[enough][all]) {
                enough = host;
            }
        }
        return enough == 0 ? Optional.empty() : Optional.of(hostsOf(last, enough));
    }

    private int[] hostsOf(int[][] last, int hosts) {
        int[] hostOf = new int[task.processes()];
        int set = all;
        for (int host = hosts; host > 0; host--) {
            int part = last[host][set];
            for (int process = 0; process < hostOf.length; process++) {
                if ((part >>> process & 1) != 0) {
                    hostOf[process] = hosts - host;
                }
            }
            set ^= part;
        }
        return hostOf;
    }

    /** Returns how many pages each subset saves by sharing: what its processes have, less their union. */
    private double[] shared() {
        Sharing sharing = task.sharing();
        double[] without = new double[all + 1];
        double[] own = new double[task.processes()];
        double total = 0;
        for (int c = 0; c < sharing.classes(); c++) {
            int members = 0;
            for (int i = sharing.firstMember(c); i < sharing.firstMember(c + 1); i++) {
                members |= 1 << sharing.member(i);
                own[sharing.member(i)] += sharing.weight(c);
            }
            without[members] += sharing.weight(c);
            total += sharing.weight(c);
        }
        // Afterwards, an element is the weight of all classes within that subset (Yates, 1937).
        for (int bit = 1; bit <= all; bit <<= 1) {
            for (int set = 0; set <= all; set++) {
                if ((set & bit) != 0) {
                    without[set] += without[set ^ bit];
                }
            }
        }
        double[] shared = new double[all + 1];
        for (int set = 1; set <= all; set++) {
            double sum = 0;
            for (int process = 0; process < own.length; process++) {
                sum += (set >>> process & 1) != 0 ? own[process] : 0;
            }
            shared[set] = sum - (total - without[all ^ set]);
        }
        return shared;
    }

    private boolean[] allowed(double[] shared) {
        boolean[] isAllowed = new boolean[all + 1];
        for (int set = 1; set <= all; set++) {
            double memory = -task.pageSize() * shared[set];
            int[] ofGroup = new int[task.groups()];
            boolean isWithinGroups = true;
            for (int process = 0; process < task.processes(); process++) {
                if ((set >>> process & 1) != 0) {
                    memory += task.memory(process);
                    int group = task.group(process);
                    ofGroup[group]++;
                    isWithinGroups &= ofGroup[group] <= task.maxOfGroup(group);
                }
            }
            isAllowed[set] = isWithinGroups && memory <= task.maxMemory();
        }
        return isAllowed;
    }
}
