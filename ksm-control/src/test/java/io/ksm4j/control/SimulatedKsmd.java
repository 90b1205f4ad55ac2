// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * A model of {@code ksmd} as policies see it: it scans batches of pages and sleeps in between, records a page in one
 * scan, and merges it in the next. Scanning a merged page costs a tenth of scanning another page.
 */
final class SimulatedKsmd {

    private static final byte NEW = 0;
    private static final byte SEEN = 1;
    private static final byte MERGED = 2;
    private static final byte ALONE = 3;
    private static final double TICK = 0.01;

    private final double cost;
    private final boolean showsTime;
    private final int[] counts = new int[ALONE + 1];
    private byte[] pages = {};
    private boolean[] isCopy = {};
    private int cursor;
    private long scanned;
    private long fullScans;
    private double time;
    private double used;
    private double sleepUntil;
    private double busyUntil;
    private KsmSettings settings = KsmSettings.EMPTY
            .with(KsmSetting.RUN, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 100)
            .with(KsmSetting.SLEEP_MILLISECS, 20)
            .with(KsmSetting.SMART_SCAN, 1);

    SimulatedKsmd(double cost, boolean showsTime) {
        this.cost = cost;
        this.showsTime = showsTime;
    }

    /** Adds mergeable pages. */
    void add(int count, boolean areCopies) {
        int before = pages.length;
        pages = Arrays.copyOf(pages, before + count);
        isCopy = Arrays.copyOf(isCopy, before + count);
        Arrays.fill(isCopy, before, before + count, areCopies);
        counts[NEW] += count;
    }

    /** Writes to all pages, which makes them new. */
    void rewrite() {
        Arrays.fill(pages, NEW);
        Arrays.fill(counts, 0);
        counts[NEW] = pages.length;
    }

    double time() {
        return time;
    }

    double used() {
        return used;
    }

    long merged() {
        return counts[MERGED];
    }

    /** Runs under a policy for some simulated seconds. */
    void run(TuningPolicy policy, double seconds) {
        double end = time + seconds;
        while (time < end) {
            Decision decision = policy.decide(observe());
            // A new sleep time wakes ksmd up.
            if (!decision.settings().get(KsmSetting.SLEEP_MILLISECS).equals(settings.get(KsmSetting.SLEEP_MILLISECS))) {
                sleepUntil = Math.max(busyUntil, Math.min(sleepUntil, time));
            }
            settings = settings.with(decision.settings());
            advance(decision.pause().toNanos() / 1e9);
        }
    }

    private long setting(KsmSetting setting) {
        return settings.get(setting).orElse(0);
    }

    private void advance(double seconds) {
        double end = time + seconds;
        while (sleepUntil < end && setting(KsmSetting.RUN) == 1 && pages.length > 0) {
            double start = Math.max(time, sleepUntil);
            double took = batch(setting(KsmSetting.PAGES_TO_SCAN));
            used += took;
            busyUntil = start + took;
            sleepUntil = busyUntil + setting(KsmSetting.SLEEP_MILLISECS) / 1000.0;
            time = Math.min(end, sleepUntil);
        }
        time = end;
    }

    private double batch(long size) {
        double took = 1e-6;
        for (long i = 0; i < size; i++) {
            boolean cheap = pages[cursor] == MERGED;
            took += cheap ? cost / 10 : cost;
            if (!cheap) {
                counts[pages[cursor]]--;
                pages[cursor] = pages[cursor] == NEW ? SEEN : isCopy[cursor] ? MERGED : ALONE;
                counts[pages[cursor]]++;
            }
            scanned++;
            cursor++;
            if (cursor == pages.length) {
                cursor = 0;
                fullScans++;
                return took;
            }
        }
        return took;
    }

    /** A batch counts when it ends, so its time beyond now is left out. */
    private Observation observe() {
        double shown = used - Math.max(0, busyUntil - time);
        long known = pages.length == 0 ? 0 : fullScans > 0 ? known() : cursor;
        return new Observation(
                Duration.ofNanos((long) (time * 1e9)),
                settings,
                OptionalLong.of(merged()),
                OptionalLong.of(0),
                OptionalLong.of(counts[SEEN]),
                OptionalLong.of(known),
                OptionalLong.of(scanned),
                OptionalLong.of(fullScans),
                0,
                showsTime ? Optional.of(Duration.ofMillis((long) (Math.floor(shown / TICK) * 10))) : Optional.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalDouble.empty());
    }

    private long known() {
        return (long) pages.length - counts[NEW];
    }
}
