// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.IntUnaryOperator;
import java.util.stream.Collectors;

/**
 * A model of {@code ksmd} as policies see it: it scans batches of pages and sleeps in between. The first scan of a new
 * or changed page records its content. A scan that finds it unchanged compares it with all merged pages, and with the
 * other unchanged pages of the same full scan. Scanning a merged page costs a tenth of scanning another page.
 */
final class SimulatedKsmd {

    static final int PAGE_SIZE = 4096;

    /** The content of which a merged page exists from the beginning, in memory of other programs. */
    static final int MERGED_BEFORE = 0;

    private static final double TICK = 0.01;

    private enum State {
        UNKNOWN,
        VOLATILE,
        UNSHARED,
        SHARED,
        SHARING
    }

    private static final class Page {
        int content;
        int recorded;
        State state = State.UNKNOWN;

        Page(int content) {
            this.content = content;
        }

        boolean isMerged() {
            return state == State.SHARED || state == State.SHARING;
        }
    }

    private final double cost;
    private final boolean showsTime;
    private final List<Page> pages = new ArrayList<>();
    private final Map<State, Long> counts = new EnumMap<>(State.class);

    /** By content, how many pages share the merged page. */
    private final Map<Integer, Integer> stable = new HashMap<>(Map.of(MERGED_BEFORE, 1));

    /** By content, the page of this full scan that has no equal yet. */
    private final Map<Integer, Page> unstable = new HashMap<>();

    private int nextUnique = -1;
    private int cursor;
    private long scanned;
    private long fullScans;
    private long markedBytes;
    private double time;
    private double lastMerge;
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

    /** Adds mergeable pages of another program: unique ones, or copies of a page that is merged already. */
    void add(int count, boolean areCopies) {
        insert(pages.size(), count, i -> areCopies ? MERGED_BEFORE : unique());
    }

    /** Adds mergeable pages of this JVM. */
    void mark(int count, IntUnaryOperator contents) {
        insert(pages.size(), count, contents);
        markedBytes += (long) count * PAGE_SIZE;
    }

    /** Adds mergeable memory of this JVM that has no pages yet. */
    void markUntouched(int count) {
        markedBytes += (long) count * PAGE_SIZE;
    }

    /** Inserts mergeable pages of another program in the order of scanning. */
    void insert(int at, int count, IntUnaryOperator contents) {
        List<Page> more = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            more.add(new Page(contents.applyAsInt(i)));
        }
        pages.addAll(at, more);
        counts.merge(State.UNKNOWN, (long) count, Long::sum);
        cursor += at < cursor ? count : 0;
    }

    int unique() {
        return nextUnique--;
    }

    /** Writes to a range of pages. */
    void write(int from, int to, IntUnaryOperator contents) {
        for (int i = from; i < to; i++) {
            pages.get(i).content = contents.applyAsInt(i);
        }
    }

    int size() {
        return pages.size();
    }

    double time() {
        return time;
    }

    /** {@return when a page was merged last} */
    double lastMerge() {
        return lastMerge;
    }

    double used() {
        return used;
    }

    long fullScans() {
        return fullScans;
    }

    /** {@return the pages that need no memory of their own} */
    long merged() {
        return count(State.SHARING);
    }

    /** {@return how many pages equal another page and are not merged} */
    long unmergedCopies() {
        Map<Integer, List<Page>> byContent = pages.stream().collect(Collectors.groupingBy(page -> page.content));
        return byContent.entrySet().stream()
                .filter(same ->
                        same.getKey() == MERGED_BEFORE || same.getValue().size() > 1)
                .flatMap(same -> same.getValue().stream())
                .filter(page -> !page.isMerged() || page.recorded != page.content)
                .count();
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

    /** Runs for some simulated seconds with the present settings. */
    void advance(double seconds) {
        double end = time + seconds;
        while (sleepUntil < end && setting(KsmSetting.RUN) == 1 && !pages.isEmpty()) {
            double start = Math.max(time, sleepUntil);
            long mergedBefore = merged();
            double took = batch(setting(KsmSetting.PAGES_TO_SCAN));
            used += took;
            busyUntil = start + took;
            if (merged() > mergedBefore) {
                lastMerge = busyUntil;
            }
            sleepUntil = busyUntil + setting(KsmSetting.SLEEP_MILLISECS) / 1000.0;
            time = Math.min(end, sleepUntil);
        }
        time = end;
    }

    private double batch(long size) {
        double took = 1e-6;
        for (long i = 0; i < size; i++) {
            Page page = pages.get(cursor);
            if (page.isMerged() && page.content == page.recorded) {
                took += cost / 10;
            } else {
                took += cost;
                scan(page);
            }
            scanned++;
            cursor++;
            if (cursor == pages.size()) {
                cursor = 0;
                unstable.clear();
                fullScans++;
                return took;
            }
        }
        return took;
    }

    private void scan(Page page) {
        boolean isNew = page.state == State.UNKNOWN;
        if (page.isMerged()) {
            stable.computeIfPresent(page.recorded, (content, sharing) -> sharing == 1 ? null : sharing - 1);
        }
        if (isNew || page.recorded != page.content) {
            page.recorded = page.content;
            change(page, State.VOLATILE);
            return;
        }
        Page equal = unstable.get(page.content);
        if (stable.containsKey(page.content)) {
            change(page, State.SHARING);
            stable.merge(page.content, 1, Integer::sum);
        } else if (equal != null && equal != page && equal.content == page.content) {
            change(equal, State.SHARED);
            change(page, State.SHARING);
            stable.put(page.content, 2);
            unstable.remove(page.content);
        } else {
            change(page, State.UNSHARED);
            unstable.put(page.content, page);
        }
    }

    private void change(Page page, State state) {
        counts.merge(page.state, -1L, Long::sum);
        page.state = state;
        counts.merge(state, 1L, Long::sum);
    }

    private long count(State state) {
        return counts.getOrDefault(state, 0L);
    }

    /** A batch counts when it ends, so its time beyond now is left out. */
    private Observation observe() {
        double shown = used - Math.max(0, busyUntil - time);
        return new Observation(
                Duration.ofNanos((long) (time * 1e9)),
                settings,
                OptionalLong.of(merged()),
                OptionalLong.of(0),
                OptionalLong.of(count(State.VOLATILE)),
                OptionalLong.of(pages.size() - count(State.UNKNOWN)),
                OptionalLong.of(scanned),
                OptionalLong.of(fullScans),
                markedBytes,
                showsTime ? Optional.of(Duration.ofMillis((long) (Math.floor(shown / TICK) * 10))) : Optional.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalDouble.empty());
    }
}
