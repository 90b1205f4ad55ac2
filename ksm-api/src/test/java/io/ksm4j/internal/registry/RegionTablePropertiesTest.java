// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collections;
import java.util.Deque;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.Tag;
import net.jqwik.api.Tuple;

/** Compares the table with a model that is too simple to be wrong. Here, one address is one page. */
@Tag("more")
class RegionTablePropertiesTest {

    private static final int PAGES = 48;

    enum Kind {
        OPEN,
        OPEN_EXCLUDED,
        WANT,
        UNWANT,
        WANT_ALL,
        UNWANT_ALL,
        CLOSE
    }

    /** An operation. Its numbers are taken modulo the number of existing objects. */
    record Step(Kind kind, int region, int from, int length) {}

    @Provide
    Arbitrary<List<Step>> steps() {
        Arbitrary<Step> step = Combinators.combine(
                        Arbitraries.frequencyOf(
                                Tuple.of(5, Arbitraries.just(Kind.OPEN)),
                                Tuple.of(1, Arbitraries.just(Kind.OPEN_EXCLUDED)),
                                Tuple.of(6, Arbitraries.just(Kind.WANT)),
                                Tuple.of(5, Arbitraries.just(Kind.UNWANT)),
                                Tuple.of(2, Arbitraries.just(Kind.WANT_ALL)),
                                Tuple.of(1, Arbitraries.just(Kind.UNWANT_ALL)),
                                Tuple.of(2, Arbitraries.just(Kind.CLOSE))),
                        Arbitraries.integers().between(0, 63),
                        Arbitraries.integers().between(0, PAGES - 1),
                        Arbitraries.integers().between(1, 16))
                .as(Step::new);
        return step.list().ofMinSize(1).ofMaxSize(80);
    }

    @Property(tries = 300, edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.BOUNDED)
    void theTableAgreesWithTheModelAfterEveryStep(@ForAll("steps") List<Step> steps) {
        Tables tables = new Tables();
        for (Step step : steps) {
            tables.apply(step);
            tables.compare();
        }
        while (!tables.regions.isEmpty()) {
            tables.close(0);
            tables.compare();
        }
        assertThat(new Layout(tables.table).check()).isZero();
    }

    /** A region of the model: the pages that it wants, and since when. */
    private static final class Region {
        private final Slot slot;
        private final int start;
        private final int end;
        private final boolean excluded;
        private final BitSet wanted = new BitSet();
        private final long[] since = new long[PAGES];

        Region(Slot slot, int start, int end, boolean excluded) {
            this.slot = slot;
            this.start = start;
            this.end = end;
            this.excluded = excluded;
        }

        boolean overlaps(int from, int to) {
            return start < to && end > from;
        }

        boolean wantsAll() {
            return wanted.cardinality() == end - start;
        }
    }

    /** A node as described by both the table and the model. */
    private record Node(int base, long start, long end, boolean wanted, long since) {}

    private record Span(long start, long end, long since) {}

    /** The table and the model that it is compared with. */
    private static final class Tables {
        final RegionTable table = newTable();
        final List<Region> regions = new ArrayList<>();
        final List<Slot> closed = new ArrayList<>();
        long clock;

        void apply(Step step) {
            clock++;
            switch (step.kind()) {
                case OPEN -> open(step, false);
                case OPEN_EXCLUDED -> open(step, true);
                case CLOSE -> {
                    if (!regions.isEmpty()) {
                        close(step.region() % regions.size());
                    }
                }
                default -> change(step);
            }
        }

        private void open(Step step, boolean excluded) {
            int from = step.from();
            int to = Math.min(PAGES, from + step.length());
            boolean conflict = regions.stream().anyMatch(r -> r.overlaps(from, to) && r.excluded != excluded);
            long flags = excluded ? Slot.EXCLUDED : 0;
            String owner = "step " + clock;
            if (conflict) {
                assertThatThrownBy(() -> table.open(from, to, flags, owner)).isInstanceOf(IllegalStateException.class);
            } else {
                Slot slot = table.open(from, to, flags, owner);
                regions.add(new Region(slot, from, to, excluded));
                assertThat(table.nodes.owner(slot.node)).isEqualTo(owner);
            }
        }

        private void change(Step step) {
            List<Region> candidates = regions.stream().filter(r -> !r.excluded).toList();
            if (candidates.isEmpty()) {
                return;
            }
            Region region = candidates.get(step.region() % candidates.size());
            int size = region.end - region.start;
            boolean all = step.kind() == Kind.WANT_ALL || step.kind() == Kind.UNWANT_ALL;
            int from = all ? region.start : region.start + step.from() % size;
            int to = all ? region.end : Math.min(region.end, from + step.length());
            assertThat(table.acquire(new Slot[] {region.slot})).isNull();
            if (step.kind() == Kind.WANT || step.kind() == Kind.WANT_ALL) {
                reserveAndWant(table, region.slot, from, to, clock);
                want(region, from, to);
            } else {
                reserveAndUnwant(table, region.slot, from, to);
                region.wanted.clear(from, to);
            }
            region.slot.release(0, 0);
        }

        /** Joins a part with the pages next to it; the result is as old as the oldest part. */
        private void want(Region region, int from, int to) {
            long oldest = clock;
            int first = from;
            int last = to;
            while (first > region.start && region.wanted.get(first - 1)) {
                first--;
            }
            while (last < region.end && region.wanted.get(last)) {
                last++;
            }
            for (int page = first; page < last; page++) {
                oldest = region.wanted.get(page) ? Math.min(oldest, region.since[page]) : oldest;
            }
            region.wanted.set(from, to);
            Arrays.fill(region.since, first, last, oldest);
        }

        void close(int index) {
            Region region = regions.remove(index);
            assertThat(table.acquire(new Slot[] {region.slot})).isNull();
            table.close(region.slot);
            closed.add(region.slot);
        }

        void compare() {
            assertThat(table.openRegions()).isEqualTo(regions.size());
            BitSet wanted = new BitSet();
            regions.forEach(region -> wanted.or(region.wanted));
            assertThat(table.mergeableBytes.get()).isEqualTo(wanted.cardinality());
            assertThat(nodesIn(0, PAGES)).containsExactlyInAnyOrderElementsOf(expectedIn(0, PAGES));
            Random windows = new Random(clock);
            for (int i = 0; i < 4; i++) {
                int from = windows.nextInt(PAGES);
                compareWindow(from, from + 1 + windows.nextInt(PAGES - from), windows);
            }
            for (Region region : regions) {
                compareFlags(region);
            }
            for (Slot slot : closed) {
                assertThat(slot.isOpen()).isFalse();
                assertThat(slot.tryAcquire()).isFalse();
                assertThat(table.acquire(new Slot[] {slot})).isSameAs(slot);
            }
            new Layout(table).check();
        }

        private void compareFlags(Region region) {
            long state = region.slot.state();
            assertThat(region.slot.isOpen(state)).isTrue();
            boolean overlapped =
                    regions.stream().anyMatch(other -> other != region && other.overlaps(region.start, region.end));
            long expected = (overlapped ? Slot.OVERLAPPED : 0)
                    | (region.excluded ? Slot.EXCLUDED : 0)
                    | (region.wantsAll() ? Slot.MARKED : 0)
                    | (!region.wantsAll() && !region.wanted.isEmpty() ? Slot.PARTIAL : 0);
            assertThat((int) state).isEqualTo((int) expected);
        }

        private void compareWindow(int from, int to, Random choice) {
            assertThat(nodesIn(from, to)).containsExactlyInAnyOrderElementsOf(expectedIn(from, to));

            Region ignored =
                    regions.isEmpty() || choice.nextBoolean() ? null : regions.get(choice.nextInt(regions.size()));
            BitSet wanted = new BitSet();
            regions.stream().filter(region -> region != ignored).forEach(region -> wanted.or(region.wanted));
            BitSet unwanted = new BitSet();
            unwanted.set(from, to);
            unwanted.andNot(wanted);
            List<Span> found = new ArrayList<>();
            table.forEachUnwanted(
                    from,
                    to,
                    base -> ignored != null && base == ignored.slot.node,
                    (start, end, since) -> found.add(new Span(start, end, since)));
            assertThat(found).isEqualTo(spans(unwanted, new long[PAGES]));

            for (Region region : regions) {
                if (region.overlaps(from, to)) {
                    BitSet part = (BitSet) region.wanted.clone();
                    part.clear(0, from);
                    part.clear(to, PAGES);
                    List<Span> wantedBy = new ArrayList<>();
                    table.forEachWantedBy(
                            region.slot, from, to, (start, end, since) -> wantedBy.add(new Span(start, end, since)));
                    assertThat(wantedBy).isEqualTo(spans(part, region.since));
                }
            }
        }

        private static List<Span> spans(BitSet pages, long[] since) {
            List<Span> spans = new ArrayList<>();
            for (int from = pages.nextSetBit(0); from >= 0; from = pages.nextSetBit(pages.nextClearBit(from))) {
                spans.add(new Span(from, pages.nextClearBit(from), since[from]));
            }
            return spans;
        }

        private List<Node> nodesIn(int from, int to) {
            List<Node> nodes = new ArrayList<>();
            long[] last = {-1};
            table.index.forEachOverlapping(from, to, (node, start, end) -> {
                assertThat(start).as("in order").isGreaterThanOrEqualTo(last[0]);
                last[0] = start;
                assertThat(table.nodes.start(node)).isEqualTo(start);
                assertThat(table.nodes.end(node)).isEqualTo(end);
                boolean wanted = table.nodes.isWanted(node);
                nodes.add(new Node(
                        table.nodes.base(node),
                        table.nodes.start(node),
                        table.nodes.end(node),
                        wanted,
                        wanted ? table.nodes.since(node) : 0));
                return true;
            });
            return nodes;
        }

        private List<Node> expectedIn(int from, int to) {
            List<Node> nodes = new ArrayList<>();
            for (Region region : regions) {
                if (!region.overlaps(from, to)) {
                    continue;
                }
                int base = region.slot.node;
                boolean all = region.wantsAll();
                nodes.add(new Node(base, region.start, region.end, all, all ? region.since[region.start] : 0));
                for (Span piece : all ? List.<Span>of() : spans(region.wanted, region.since)) {
                    if (piece.start() < to && piece.end() > from) {
                        nodes.add(new Node(base, piece.start(), piece.end(), true, piece.since()));
                    }
                }
            }
            return nodes;
        }
    }

    /** Layout 4, written down a second time, because other copies of ksm4j read the same arrays. */
    private static final class Layout {
        private final long[] header;
        private final Object[] chunks;
        private final IndexLayout index;

        Layout(RegionTable table) {
            assertThat(RegionTable.LAYOUT).isEqualTo(4);
            header = (long[]) table.shared()[5];
            chunks = (Object[]) table.shared()[3];
            index = new IndexLayout(table.shared()[8]);
        }

        /** The words of a node except its state: start, end, since, base, and pieces or the next free node. */
        private long word(long node, int word) {
            return ((long[]) chunks[(int) node / 1024])[1024 + (int) node % 1024 * 5 + word];
        }

        private long state(long node) {
            return ((long[]) chunks[(int) node / 1024])[(int) node % 128 * 8 + (int) node % 1024 / 128];
        }

        /** Checks that the index contains every node with its range, and that every other node is free. */
        int check() {
            Set<Long> seen = new HashSet<>();
            for (IndexLayout.Entry entry : index.check()) {
                assertThat(seen.add(entry.node())).isTrue();
                assertThat(entry.start()).isEqualTo(word(entry.node(), 0));
                assertThat(entry.end()).isEqualTo(word(entry.node(), 1));
                boolean piece = (state(entry.node()) & Slot.PIECE) != 0;
                assertThat(word(entry.node(), 3) != entry.node()).isEqualTo(piece);
            }
            int live = seen.size();
            for (long free = header[1]; free != 0; free = word(free, 4)) {
                assertThat(seen.add(free)).isTrue();
                assertThat((int) state(free)).isZero();
            }
            assertThat(header[2]).as("free nodes").isEqualTo(seen.size() - live);
            assertThat(header[3]).as("reserved nodes").isZero();
            assertThat(header[0]).as("nodes used").isEqualTo(seen.size() + 1);
            return live;
        }
    }

    private static RegionTable newTable() {
        return new RegionTable(RegionTable.newShared());
    }

    @Example
    void slotsStayValidWhileAHundredThousandRegionsAreOpenedAndClosed() {
        RegionTable table = newTable();
        Random order = new Random(1);
        List<Slot> slots = new ArrayList<>();
        for (int i = 0; i < 100_000; i++) {
            // One half in order, the other half at random addresses on top of the others.
            long start = i % 2 == 0 ? i * 10L : order.nextInt(1_000_000);
            slots.add(table.open(start, start + 1 + order.nextInt(30), 0, "owner"));
        }
        assertThat(new Layout(table).check()).isEqualTo(100_000);
        // Slots that were created before the table grew to many chunks are still valid.
        assertThat(slots).allMatch(slot -> slot.isOpen());
        Collections.shuffle(slots, order);
        for (Slot slot : slots.subList(0, 90_000)) {
            table.close(slot);
        }
        assertThat(new Layout(table).check()).isEqualTo(10_000);
        assertThat(table.openRegions()).isEqualTo(10_000);
    }

    @Example
    void excludedRegionsAreOpenedOnlyOverYieldingOnes() {
        RegionTable table = newTable();
        Slot yielding = table.open(0, 100, Slot.YIELDING, "found");
        Slot requested = table.open(200, 300, 0, "requested");
        assertThat(table.acquire(yielding, requested)).isNull();
        table.commit(
                List.of(new RegionTable.Want(yielding, 0, 100, 1), new RegionTable.Want(requested, 200, 300, 1)),
                true,
                0);
        Slot.release(new Slot[] {yielding, requested});

        Slot excluded = table.open(40, 60, Slot.EXCLUDED, "secret");

        assertThat(excluded.isOpen()).isTrue();
        List<String> wanted = new ArrayList<>();
        table.forEachWantedBy(yielding, (from, to, since) -> wanted.add(from + "-" + to));
        assertThat(wanted).containsExactly("0-40", "60-100");
        assertThat(table.mergeableBytes).hasValue(180);
        assertThat(table.isExcluded(50, 70)).isTrue();
        assertThat(table.isExcluded(60, 300)).isFalse();
        assertThat(table.isUsed(0, 40)).isFalse();
        assertThat(table.isUsed(0, 41)).isTrue();
        assertThatThrownBy(() -> table.open(290, 310, Slot.EXCLUDED, "secret"))
                .isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> table.open(50, 70, Slot.YIELDING, "found")).isInstanceOf(IllegalStateException.class);
        assertThat(new Layout(table).check()).as("three regions and two pieces").isEqualTo(5);
    }

    @Example
    void nodesOfClosedRegionsAreReusedWithANewGeneration() {
        RegionTable table = newTable();
        List<Slot> closed = new ArrayList<>();
        for (int round = 0; round < 20; round++) {
            List<Slot> open = new ArrayList<>();
            for (int i = 0; i < 1000; i++) {
                open.add(table.open(4L * i, 4L * i + 4, 0, "round " + round));
                reserveAndWant(table, open.get(i), 4L * i + 1, 4L * i + 2, round);
            }
            for (Slot slot : open) {
                table.close(slot);
            }
            closed.addAll(open);
        }
        assertThat(((Object[]) table.shared()[3])).as("chunks for 2,000 nodes").hasSize(2);
        assertThat(new Layout(table).check()).isZero();
        assertThat(closed).noneMatch(slot -> slot.isOpen() || slot.tryAcquire());
        assertThat((Object[]) ((Object[]) table.shared()[4])[0])
                .as("names of closed regions")
                .containsOnlyNulls();
    }

    @Example
    void theSharedArraysContainOnlyJdkTypes() {
        RegionTable table = new RegionTable(RegionTable.newShared());
        for (int i = 0; i < 3000; i++) {
            Slot slot = table.open(4L * i, 4L * i + 6, 0, "owner " + i);
            reserveAndWant(table, slot, 4L * i + 1, 4L * i + 3, i);
        }
        Set<Object> reached = Collections.newSetFromMap(new IdentityHashMap<>());
        Deque<Object> left = new ArrayDeque<>(List.<Object>of(table.shared()));
        while (!left.isEmpty()) {
            Object object = left.pop();
            assertThat(object.getClass().getClassLoader())
                    .as("loader of %s", object.getClass())
                    .isNull();
            if (reached.add(object) && object instanceof Object[] array) {
                for (Object element : array) {
                    if (element != null) {
                        left.push(element);
                    }
                }
            }
        }
        assertThat(reached).hasSizeGreaterThan(3000);
    }

    /** Each worker writes its number to the pages that it works on, and must not find the number of another one. */
    private static final class Pages {
        final AtomicIntegerArray worker = new AtomicIntegerArray(PAGES);

        void workOn(BitSet pages, int me) {
            pages.stream().forEach(page -> {
                int other = worker.getAndSet(page, me);
                if (other != 0) {
                    throw new AssertionError("workers " + other + " and " + me + " are both at page " + page);
                }
            });
            for (int i = 0; i < 20; i++) {
                Thread.onSpinWait();
            }
            pages.stream().forEach(page -> {
                if (!worker.compareAndSet(page, me, 0)) {
                    throw new AssertionError("worker " + me + " was disturbed at page " + page);
                }
            });
        }
    }

    @Example
    void overlappingRegionsAreNeverOwnedAtTheSameTimeAndNoThreadWaitsForever() throws Exception {
        RegionTable table = new RegionTable(RegionTable.newShared());
        Pages pages = new Pages();
        Random random = new Random(7);
        List<Slot> standing = new ArrayList<>();
        for (int i = 0; i < 12; i++) {
            int start = random.nextInt(PAGES - 8);
            standing.add(table.open(start, start + 1 + random.nextInt(8), 0, "standing"));
        }
        int workers = 16;
        ExecutorService threads = Executors.newFixedThreadPool(workers);
        try {
            List<Future<?>> results = IntStream.rangeClosed(1, workers)
                    .<Future<?>>mapToObj(me -> threads.submit(() -> work(table, pages, standing, me)))
                    .toList();
            for (Future<?> result : results) {
                finish(result);
            }
        } finally {
            threads.shutdownNow();
        }
        standing.forEach(table::close);
        assertThat(table.openRegions()).isZero();
        assertThat(new Layout(table).check()).isZero();
    }

    private static void finish(Future<?> result) throws ExecutionException, InterruptedException {
        try {
            result.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new AssertionError("a worker waits for ever", e);
        }
    }

    private static void work(RegionTable table, Pages pages, List<Slot> standing, int me) {
        Random random = new Random(me);
        for (int i = 0; i < 3000; i++) {
            switch (random.nextInt(3)) {
                case 0 -> workOnSome(table, pages, standing, me, random);
                case 1 -> workOnOne(table, pages, standing.get(random.nextInt(standing.size())), me);
                default -> workOnNew(table, pages, me, random);
            }
        }
    }

    private static void workOnSome(RegionTable table, Pages pages, List<Slot> standing, int me, Random random) {
        Slot[] set = standing.stream().filter(slot -> random.nextInt(4) == 0).toArray(Slot[]::new);
        assertThat(table.acquire(set)).isNull();
        BitSet owned = new BitSet();
        for (Slot slot : set) {
            owned.or(pagesOf(table, slot));
        }
        pages.workOn(owned, me);
        for (Slot slot : set) {
            slot.release(0, 0);
        }
    }

    private static void workOnOne(RegionTable table, Pages pages, Slot slot, int me) {
        if (!slot.tryAcquire()) {
            assertThat(table.acquire(new Slot[] {slot})).isNull();
        }
        pages.workOn(pagesOf(table, slot), me);
        slot.release(0, 0);
    }

    /** Opens a region on top of the others while they may be owned without the lock, marks it, and closes it. */
    private static void workOnNew(RegionTable table, Pages pages, int me, Random random) {
        int start = random.nextInt(PAGES);
        int end = Math.min(PAGES, start + 1 + random.nextInt(4));
        Slot slot = table.open(start, end, 0, "new");
        workOnOne(table, pages, slot, me);
        assertThat(table.acquire(new Slot[] {slot})).isNull();
        pages.workOn(pagesOf(table, slot), me);
        reserveAndWant(table, slot, start, end, 1);
        reserveAndUnwant(table, slot, start, start + 1);
        table.close(slot);
        assertThat(table.acquire(new Slot[] {slot})).isSameAs(slot);
    }

    private static void reserveAndWant(RegionTable table, Slot slot, long from, long to, long since) {
        table.reserve(1);
        table.commit(List.of(new RegionTable.Want(slot, from, to, since)), true, 1);
    }

    private static void reserveAndUnwant(RegionTable table, Slot slot, long from, long to) {
        table.reserve(1);
        table.commit(List.of(new RegionTable.Want(slot, from, to, 0)), false, 1);
    }

    private static BitSet pagesOf(RegionTable table, Slot slot) {
        BitSet pages = new BitSet();
        pages.set((int) table.nodes.start(slot.node), (int) table.nodes.end(slot.node));
        return pages;
    }
}
