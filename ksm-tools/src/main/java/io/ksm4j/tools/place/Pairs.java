// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/** Finds the pairs of processes that have most in common. */
final class Pairs {

    /** How many pairs of members of classes are looked at. Classes come in the order of random hashes. */
    private static final long MAX_STEPS = 2_000_000_000L;

    /**
     * A pair.
     *
     * @param first the process with the lower number
     * @param second the other
     * @param common how many pages both have
     */
    record Pair(int first, int second, double common) {}

    private Pairs() {}

    /** Returns pairs by decreasing number of pages that both have, at most this many. */
    static List<Pair> most(Sharing sharing, int count) {
        Comparator<Pair> byCommon = Comparator.comparingDouble(Pair::common);
        PriorityQueue<Pair> most = new PriorityQueue<>(byCommon);
        int classes = classes(sharing);
        double[] common = new double[sharing.processes()];
        for (int process = 0; process < common.length; process++) {
            for (int i = sharing.firstClass(process); i < sharing.firstClass(process + 1); i++) {
                int c = sharing.classAt(i);
                if (c >= classes) {
                    break;
                }
                double weight = sharing.weight(c);
                for (int at = sharing.firstMember(c + 1) - 1; sharing.member(at) > process; at--) {
                    common[sharing.member(at)] += weight;
                }
            }
            for (int other = process + 1; other < common.length; other++) {
                if (common[other] > 0) {
                    most.add(new Pair(process, other, common[other]));
                    common[other] = 0;
                    if (most.size() > count) {
                        most.remove();
                    }
                }
            }
        }
        return most.stream().sorted(byCommon.reversed()).toList();
    }

    /** Returns how many of the first classes to look at. */
    private static int classes(Sharing sharing) {
        long steps = 0;
        for (int c = 0; c < sharing.classes(); c++) {
            steps += (long) sharing.members(c) * sharing.members(c) / 2;
            if (steps > MAX_STEPS) {
                return c;
            }
        }
        return sharing.classes();
    }
}
