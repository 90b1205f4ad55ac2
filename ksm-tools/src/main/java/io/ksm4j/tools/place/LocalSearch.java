// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Finds a good grouping of any number of processes: builds several by greedy algorithms, improves each by moving and
 * swapping processes until nothing gets better (local search), and returns the best.
 */
final class LocalSearch {

    /** About what the random starts may do together, in changes of what a process and a host have in common. */
    private static final double WORK = 1e9;

    private static final int MAX_RANDOM_STARTS = 60;

    private static final int MAX_ROUNDS = 20;

    /** Each needs memory of its own, and other programs need processors too. */
    private static final int MAX_THREADS = 4;

    /** A gain of less than this part of what an average process shares is not worth a further round. */
    private static final double MIN_GAIN = 1e-4;

    private final Task task;
    private final double minGain;

    /** How many pages of each process another process also has. */
    private final double[] weights;

    private @Nullable Grouping best;

    /** The number of its start, which decides between equally good ones: the order of threads must not. */
    private int startOfBest;

    private LocalSearch(Task task) {
        this.task = task;
        weights = IntStream.range(0, task.processes())
                .mapToDouble(task.sharing()::weightOf)
                .toArray();
        minGain = MIN_GAIN * Arrays.stream(weights).sum() / task.processes();
    }

    /** Returns the host of each process; empty if no grouping within the limits was found. */
    static Optional<int[]> best(Task task) {
        LocalSearch search = new LocalSearch(task);
        search.run();
        return Optional.ofNullable(search.best).map(Grouping::hosts);
    }

    private void run() {
        int randomStarts = (int) Math.min(MAX_RANDOM_STARTS, WORK / workOfStart());
        List<Supplier<@Nullable Grouping>> starts = new ArrayList<>();
        // By what they have in common, and by that relative to their memory.
        starts.add(() -> fill(null, false));
        starts.add(() -> fill(null, true));
        for (int i = 0; i < randomStarts; i++) {
            int seed = i;
            starts.add(() -> fill(new SplittableRandom(seed), seed % 2 == 0));
        }
        if (randomStarts == MAX_RANDOM_STARTS) {
            // It needs many moves to become as good as the others, which takes too long in a large fleet.
            starts.add(() -> distribute(true));
        }
        AtomicInteger next = new AtomicInteger();
        IntStream.range(0, threads()).parallel().forEach(thread -> {
            for (int start = next.getAndIncrement(); start < starts.size(); start = next.getAndIncrement()) {
                improve(starts.get(start).get(), start);
            }
        });
        List<Supplier<@Nullable Grouping>> others =
                List.of(() -> distribute(true), () -> distribute(false), this::evenly);
        for (int i = 0; i < others.size() && best == null; i++) {
            improve(others.get(i).get(), i);
        }
    }

    private int threads() {
        long room = Runtime.getRuntime().maxMemory() / 4;
        int processors = Math.min(Runtime.getRuntime().availableProcessors(), MAX_THREADS);
        return (int) Math.max(1, Math.min(room / Grouping.bytes(task), processors));
    }

    /** Each class may begin to be on each host, or on as many as it has members. That concerns all of its members. */
    private double workOfStart() {
        double work = (double) task.processes() * task.processes();
        for (int c = 0; c < task.sharing().classes(); c++) {
            double members = task.sharing().members(c);
            work += members * Math.min(members, task.hosts());
        }
        return work;
    }

    private void improve(@Nullable Grouping grouping, int start) {
        if (grouping == null) {
            return;
        }
        int rounds = 0;
        boolean isBetter = true;
        while (isBetter && rounds++ < MAX_ROUNDS) {
            isBetter = false;
            for (int process = 0; process < task.processes(); process++) {
                isBetter |= moveOrSwap(grouping, process);
            }
        }
        keep(grouping, start);
    }

    private synchronized void keep(Grouping grouping, int start) {
        double difference = best == null ? 1 : grouping.shared() - best.shared();
        if (difference > 0 || (difference == 0 && start < startOfBest)) {
            best = grouping;
            startOfBest = start;
        }
    }

    /** Makes the best move or swap of a process. Returns whether there was one. */
    private boolean moveOrSwap(Grouping grouping, int process) {
        int from = grouping.hostOf(process);
        double gain = minGain;
        int host = Grouping.NOWHERE;
        double[] gainOfMove = new double[task.hosts()];
        for (int to = 0; to < task.hosts(); to++) {
            gainOfMove[to] = grouping.gainOfMove(process, to);
            if (to != from && gainOfMove[to] > gain && grouping.fits(process, to)) {
                gain = gainOfMove[to];
                host = to;
            }
        }
        int partner = -1;
        for (int other = 0; other < task.processes(); other++) {
            int to = grouping.hostOf(other);
            // The other one gains no more than it has in common here. That rules out nearly all at once.
            if (to != from
                    && gainOfMove[to] + grouping.common(other, from) > gain
                    && grouping.maxGainOfSwap(process, other) > gain) {
                double exact = grouping.gainOfSwap(process, other);
                if (exact > gain) {
                    gain = exact;
                    partner = other;
                }
            }
        }
        if (partner >= 0) {
            int to = grouping.hostOf(partner);
            grouping.remove(process);
            grouping.remove(partner);
            grouping.add(process, to);
            grouping.add(partner, from);
        } else if (host != Grouping.NOWHERE) {
            grouping.remove(process);
            grouping.add(process, host);
        }
        return partner >= 0 || host != Grouping.NOWHERE;
    }

    /**
     * Fills one host after the other, each with the process that has most in common with those that it already has.
     *
     * @param random chooses the first process of each host; null for the one that has most in common with others
     * @param isRelative whether to divide by the memory of the process
     */
    private @Nullable Grouping fill(@Nullable SplittableRandom random, boolean isRelative) {
        Grouping grouping = new Grouping(task);
        double[] scale = new double[task.processes()];
        for (int process = 0; process < scale.length; process++) {
            scale[process] = isRelative ? Math.max(task.memory(process), 1) : 1;
        }
        for (int host = 0; host < task.hosts(); host++) {
            int next = first(grouping, host, scale, random);
            while (next >= 0) {
                grouping.add(next, host);
                next = -1;
                double most = 0;
                for (int process = 0; process < scale.length; process++) {
                    double value = grouping.common(process, host) / scale[process];
                    if (value > most && grouping.hostOf(process) == Grouping.NOWHERE && grouping.fits(process, host)) {
                        most = value;
                        next = process;
                    }
                }
            }
        }
        return addRest(grouping, true) ? grouping : null;
    }

    private int first(Grouping grouping, int host, double[] scale, @Nullable SplittableRandom random) {
        int first = -1;
        double most = -1;
        for (int process = 0; process < task.processes(); process++) {
            if (grouping.hostOf(process) == Grouping.NOWHERE && grouping.fits(process, host)) {
                double value = random != null ? random.nextDouble() : weights[process] / scale[process];
                if (value > most) {
                    most = value;
                    first = process;
                }
            }
        }
        return first;
    }

    /** Adds processes by decreasing memory, each to the host with which it has most in common, or the fullest. */
    private @Nullable Grouping distribute(boolean byCommon) {
        Grouping grouping = new Grouping(task);
        return addRest(grouping, byCommon) ? grouping : null;
    }

    /** Adds the processes that are nowhere. Returns whether all of them fit. */
    private boolean addRest(Grouping grouping, boolean byCommon) {
        for (int process : task.byMemory()) {
            if (grouping.hostOf(process) != Grouping.NOWHERE) {
                continue;
            }
            int best = Grouping.NOWHERE;
            for (int host = 0; host < task.hosts(); host++) {
                if (grouping.fits(process, host)
                        && (best == Grouping.NOWHERE || isBetter(grouping, process, host, best, byCommon))) {
                    best = host;
                }
            }
            if (best == Grouping.NOWHERE) {
                return false;
            }
            grouping.add(process, best);
        }
        return true;
    }

    private static boolean isBetter(Grouping grouping, int process, int host, int than, boolean byCommon) {
        double difference = byCommon ? grouping.common(process, host) - grouping.common(process, than) : 0;
        return difference > 0 || (difference == 0 && grouping.used(host) > grouping.used(than));
    }

    private @Nullable Grouping evenly() {
        Grouping grouping = new Grouping(task);
        int[] hostOf = task.evenly();
        for (int process = 0; process < hostOf.length; process++) {
            if (!grouping.fits(process, hostOf[process])) {
                return null;
            }
            grouping.add(process, hostOf[process]);
        }
        return grouping;
    }
}
