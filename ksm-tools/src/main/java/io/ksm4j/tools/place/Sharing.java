// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.sketch.Sample;
import java.util.Arrays;
import java.util.List;

/**
 * The contents that several processes have in common: an inverted index of their samples. Contents that exactly the
 * same processes have are one class, whose weight is the estimated number of these contents. Contents of a single
 * process have no influence on where it should be, and are left out.
 */
final class Sharing {

    private final int processes;

    /** The processes of class c are {@code members[memberStart[c]]} and following, in ascending order. */
    private int[] members = new int[1024];

    private int[] memberStart = new int[256];
    private double[] weights = new double[256];
    private int classes;

    /** The classes of process p are {@code classesOf[classStart[p]]} and following, in ascending order. */
    private final int[] classesOf;

    private final int[] classStart;

    /**
     * Creates the index.
     *
     * @param samples one of each process
     * @param maxMembers the maximum size of all classes together; if it is too small, a smaller sample of contents is
     *     used
     */
    Sharing(List<Sample> samples, long maxMembers) {
        processes = samples.size();
        group(samples, maxMembers);
        classStart = new int[processes + 1];
        for (int i = 0; i < memberStart[classes]; i++) {
            classStart[members[i] + 1]++;
        }
        Arrays.parallelPrefix(classStart, Integer::sum);
        classesOf = new int[memberStart[classes]];
        int[] next = Arrays.copyOf(classStart, processes);
        for (int c = 0; c < classes; c++) {
            for (int i = memberStart[c]; i < memberStart[c + 1]; i++) {
                classesOf[next[members[i]]++] = c;
            }
        }
    }

    /** Finds equal hashes by sorting all of them, with the process in place of the lowest bits. */
    private void group(List<Sample> samples, long maxMembers) {
        long threshold = samples.stream().mapToLong(Sample::threshold).min().orElse(Sample.ALL);
        int bits = Integer.SIZE - Integer.numberOfLeadingZeros(processes);
        long processMask = (1L << bits) - 1;
        long[] keys = keys(samples, threshold, processMask);
        ClassTable table = new ClassTable();
        int[] run = new int[processes];
        int at = 0;
        while (at < keys.length) {
            long hash = keys[at] >>> bits;
            int size = 0;
            for (; at < keys.length && keys[at] >>> bits == hash; at++) {
                int process = (int) (keys[at] & processMask);
                if (size == 0 || run[size - 1] != process) {
                    run[size++] = process;
                }
            }
            if (size > 1) {
                if (memberStart[classes] + (long) size > maxMembers && classes > 0) {
                    threshold = Math.max(1, hash << bits);
                    break;
                }
                int c = table.find(run, size); // May replace the array of weights.
                weights[c]++;
            }
        }
        for (int c = 0; c < classes; c++) {
            weights[c] *= Sample.sampling(threshold);
        }
    }

    private static long[] keys(List<Sample> samples, long threshold, long processMask) {
        List<Sample> below =
                samples.stream().map(sample -> sample.below(threshold)).toList();
        long[] keys =
                new long[Math.toIntExact(below.stream().mapToLong(Sample::size).sum())];
        int size = 0;
        for (int process = 0; process < below.size(); process++) {
            Sample sample = below.get(process);
            for (int i = 0; i < sample.size(); i++) {
                keys[size++] = (sample.hash(i) & ~processMask) | process;
            }
        }
        Arrays.parallelSort(keys);
        return keys;
    }

    /** Finds the class with given members, by open addressing. */
    private final class ClassTable {

        private int[] slots = new int[1024];

        int find(int[] run, int size) {
            int at = slot(run, 0, size);
            while (slots[at] != 0) {
                int c = slots[at] - 1;
                if (Arrays.equals(members, memberStart[c], memberStart[c + 1], run, 0, size)) {
                    return c;
                }
                at = at + 1 & slots.length - 1;
            }
            slots[at] = classes + 1;
            append(run, size);
            if (classes > slots.length / 2) {
                slots = new int[slots.length * 2];
                for (int c = 0; c < classes; c++) {
                    int free = slot(members, memberStart[c], memberStart[c + 1]);
                    while (slots[free] != 0) {
                        free = free + 1 & slots.length - 1;
                    }
                    slots[free] = c + 1;
                }
            }
            return classes - 1;
        }

        private int slot(int[] array, int from, int to) {
            long hash = 0;
            for (int i = from; i < to; i++) {
                hash = (hash ^ array[i]) * 0x9e3779b97f4a7c15L;
                hash ^= hash >>> 32;
            }
            return (int) hash & slots.length - 1;
        }

        private void append(int[] run, int size) {
            int start = memberStart[classes];
            if (start + size > members.length) {
                members = Arrays.copyOf(members, Math.max(start + size, members.length * 2));
            }
            System.arraycopy(run, 0, members, start, size);
            classes++;
            if (classes == memberStart.length) {
                memberStart = Arrays.copyOf(memberStart, classes * 2);
                weights = Arrays.copyOf(weights, classes * 2);
            }
            memberStart[classes] = start + size;
        }
    }

    int processes() {
        return processes;
    }

    int classes() {
        return classes;
    }

    /** Returns the size of all classes together. */
    int size() {
        return memberStart[classes];
    }

    /** Returns how many pages a class stands for. */
    double weight(int c) {
        return weights[c];
    }

    /** Returns the position of the first member of a class. The position after its last is that of the next class. */
    int firstMember(int c) {
        return memberStart[c];
    }

    int member(int position) {
        return members[position];
    }

    int members(int c) {
        return memberStart[c + 1] - memberStart[c];
    }

    /** Returns the position of the first class of a process. The position after its last is that of the next one. */
    int firstClass(int process) {
        return classStart[process];
    }

    int classAt(int position) {
        return classesOf[position];
    }

    /** Returns how many pages of a process another process also has. */
    double weightOf(int process) {
        double sum = 0;
        for (int i = classStart[process]; i < classStart[process + 1]; i++) {
            sum += weights[classesOf[i]];
        }
        return sum;
    }
}
