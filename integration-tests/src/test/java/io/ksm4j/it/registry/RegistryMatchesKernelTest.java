// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.ksm4j.AddressRange;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Smaps;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.KsmAssumptions;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.NavigableSet;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
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

/** Between changes, the registry, the kernel and a simple model agree about every page. */
@Tag("more")
class RegistryMatchesKernelTest {

    private static final int ARENA_PAGES = 48;
    private static final int MOST_REGIONS = 8;

    private static final Map<String, Ksm> BACKENDS = new ConcurrentHashMap<>();

    enum Kind {
        ALLOCATE(true),
        ADOPT_ADDRESS(true),
        ADOPT_BUFFER(true),
        ADOPT_PART_OF_REGION(true),
        ADOPT_BUFFER_OF_REGION(true),
        MARK(false),
        UNMARK(false),
        MARK_PART(false),
        UNMARK_PART(false),
        MARK_MANY(false),
        UNMARK_MANY(false),
        CLOSE(false);

        final boolean opens;

        Kind(boolean opens) {
            this.opens = opens;
        }
    }

    /** An operation, with numbers that are reduced to the range of what exists at that time. */
    record Step(Kind kind, int region, int from, int pages) {}

    @Provide
    Arbitrary<List<Step>> steps() {
        Arbitrary<Kind> kinds = Arbitraries.frequencyOf(
                Tuple.of(4, Arbitraries.of(Kind.ALLOCATE, Kind.ADOPT_ADDRESS, Kind.ADOPT_BUFFER)),
                Tuple.of(3, Arbitraries.of(Kind.ADOPT_PART_OF_REGION, Kind.ADOPT_BUFFER_OF_REGION)),
                Tuple.of(3, Arbitraries.of(Kind.MARK, Kind.UNMARK)),
                Tuple.of(6, Arbitraries.of(Kind.MARK_PART, Kind.UNMARK_PART)),
                Tuple.of(3, Arbitraries.of(Kind.MARK_MANY, Kind.UNMARK_MANY)),
                Tuple.of(2, Arbitraries.of(Kind.CLOSE)));
        return Combinators.combine(
                        kinds,
                        Arbitraries.integers().between(0, 255),
                        Arbitraries.integers().between(0, ARENA_PAGES - 1),
                        Arbitraries.integers().between(1, 16))
                .as(Step::new)
                .list()
                .ofMinSize(1)
                .ofMaxSize(50);
    }

    @Property(tries = 12, edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.BOUNDED)
    void withFfm(@ForAll("steps") List<Step> steps) {
        run("ffm", steps);
    }

    @Property(tries = 12, edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.BOUNDED)
    void withJnr(@ForAll("steps") List<Step> steps) {
        run("jnr", steps);
    }

    @Property(tries = 12, edgeCases = EdgeCasesMode.NONE, shrinking = ShrinkingMode.BOUNDED)
    void withJna(@ForAll("steps") List<Step> steps) {
        run("jna", steps);
    }

    private static void run(String backend, List<Step> steps) {
        KsmAssumptions.assumeKsm();
        try (World world = new World(backend)) {
            for (Step step : steps) {
                world.apply(step);
                world.compare();
            }
            while (!world.regions.isEmpty()) {
                world.close(world.regions.get(0));
                world.compare();
            }
            assertThat(world.registry.mergeableBytes()).isEqualTo(world.bytesBefore);
        }
    }

    /** An address may be mapped again while a region that was detached from it is still open. */
    @Example
    void detachedRegionsDoNotAffectNewOnes() {
        KsmAssumptions.assumeKsm();
        for (String backend : TestedBackends.NAMES) {
            Ksm ksm = ksm(backend);
            for (Marking first : List.of(Marking.NEVER, Marking.MERGEABLE)) {
                Marking second = first == Marking.NEVER ? Marking.MERGEABLE : Marking.NEVER;
                RegionOptions options = RegionOptions.DEFAULT.withMarking(first);
                MergeRegion memory = ksm.allocate(1 << 20, options);
                try (MergeRegion detached = ksm.adopt(memory.address(), memory.size(), options)) {
                    memory.close();
                    try (MergeRegion next = ksm.allocate(1 << 20, options.withMarking(second))) {
                        assertThat(next.isMergeable()).isEqualTo(second == Marking.MERGEABLE);
                        assertThat(detached.isMergeable()).isFalse();
                    }
                }
            }
        }
    }

    private static Ksm ksm(String backend) {
        return BACKENDS.computeIfAbsent(backend, name -> Ksm.with(TestedBackends.open(name)));
    }

    /** A region, and the pages that it has marked according to the model. */
    private static final class Region {
        final MergeRegion region;
        final String owner;
        final boolean never;
        final boolean allocated;
        final NavigableSet<Long> wanted = new TreeSet<>();
        boolean detached;

        Region(MergeRegion region, String owner, boolean never, boolean allocated) {
            this.region = region;
            this.owner = owner;
            this.never = never;
            this.allocated = allocated;
        }

        long start() {
            return region.range().start();
        }

        long end() {
            return region.range().end();
        }

        boolean overlaps(long from, long to) {
            return start() < to && end() > from;
        }
    }

    /** Real regions and their model. */
    private static final class World implements AutoCloseable {
        final MergeRegistry registry = MergeRegistry.system();
        final Ksm ksm;
        final long pageSize;
        final Arena arena = Arena.ofShared();
        final MemorySegment memory;
        final List<Region> regions = new ArrayList<>();
        final NavigableSet<Long> pages = new TreeSet<>();
        final long bytesBefore = registry.mergeableBytes();
        final long openBefore = registry.openRegions();
        int opened;

        World(String backend) {
            ksm = ksm(backend);
            pageSize = ksm.pageSize();
            memory = arena.allocate(ARENA_PAGES * pageSize, pageSize);
        }

        void apply(Step step) {
            if (step.kind().opens ? regions.size() == MOST_REGIONS : regions.isEmpty()) {
                return;
            }
            switch (step.kind()) {
                case ALLOCATE -> allocate(step);
                case ADOPT_ADDRESS -> {
                    long from = memory.address() + step.from() * pageSize;
                    long to = Math.min(from + step.pages() * pageSize, memory.address() + memory.byteSize());
                    // Only the whole pages inside count.
                    adopt(step, from, to, options -> ksm.adopt(from - step.region() % 2, to - from + 9, options));
                }
                case ADOPT_BUFFER -> {
                    long offset = step.from() * pageSize;
                    long length = Math.min(step.pages() * pageSize, memory.byteSize() - offset);
                    adopt(
                            step,
                            memory.address() + offset,
                            memory.address() + offset + length,
                            options -> ksm.adopt(memory.asSlice(offset, length).asByteBuffer(), options));
                }
                case ADOPT_PART_OF_REGION -> adoptPartOfRegion(step);
                case ADOPT_BUFFER_OF_REGION -> adoptBufferOfRegion(step);
                case MARK, UNMARK -> {
                    Region region = choose(step);
                    changeAll(List.of(region), step.kind() == Kind.MARK, mergeable -> {
                        if (mergeable) {
                            region.region.markMergeable();
                        } else {
                            region.region.markUnmergeable();
                        }
                    });
                }
                case MARK_PART, UNMARK_PART -> changePart(step);
                case MARK_MANY, UNMARK_MANY -> changeMany(step);
                case CLOSE -> close(choose(step));
            }
        }

        private Region choose(Step step) {
            return regions.get(step.region() % regions.size());
        }

        private RegionOptions options(Step step) {
            Marking marking = step.region() % 16 == 15
                    ? Marking.NEVER
                    : step.region() % 3 == 0 ? Marking.UNMERGEABLE : Marking.MERGEABLE;
            return RegionOptions.DEFAULT
                    .withName("region " + opened++)
                    .withMarking(marking)
                    .withGuardPages(step.region() % 5 != 0)
                    .withVerify(step.region() % 2 == 0);
        }

        private void add(MergeRegion opened, RegionOptions options, boolean allocated) {
            Region region = new Region(opened, options.name(), options.marking() == Marking.NEVER, allocated);
            regions.add(region);
            for (long page = region.start(); page < region.end(); page += pageSize) {
                pages.add(page);
                if (options.marking() == Marking.MERGEABLE) {
                    region.wanted.add(page);
                }
            }
        }

        private void allocate(Step step) {
            RegionOptions options = options(step);
            add(ksm.allocate(step.pages() * pageSize - step.from() % 2, options), options, true);
        }

        private interface Adopting {
            MergeRegion adopt(RegionOptions options);
        }

        private void adopt(Step step, long from, long to, Adopting adopting) {
            RegionOptions options = options(step);
            boolean never = options.marking() == Marking.NEVER;
            if (regions.stream()
                    .anyMatch(other -> !other.detached && other.overlaps(from, to) && other.never != never)) {
                assertThatIllegalStateException().isThrownBy(() -> adopting.adopt(options));
                return;
            }
            MergeRegion adopted = adopting.adopt(options);
            assertThat(adopted.range()).isEqualTo(new AddressRange(from, to - from));
            add(adopted, options, false);
        }

        private void adoptPartOfRegion(Step step) {
            if (!regions.isEmpty() && choose(step).allocated) {
                Region region = choose(step);
                long count = region.region.size() / pageSize;
                long from = region.start() + step.from() % count * pageSize;
                long to = Math.min(from + step.pages() * pageSize, region.end());
                adopt(step, from, to, options -> ksm.adopt(from, to - from, options));
            }
        }

        private void adoptBufferOfRegion(Step step) {
            if (!regions.isEmpty() && choose(step).allocated) {
                Region region = choose(step);
                adopt(step, region.start(), region.end(), options -> ksm.adopt(region.region.buffer(), options));
            }
        }

        private void changePart(Step step) {
            Region region = choose(step);
            boolean mergeable = step.kind() == Kind.MARK_PART;
            long count = region.region.size() / pageSize;
            long offset = step.from() % count * pageSize;
            long length = Math.min(step.pages() * pageSize, region.region.size() - offset);
            Runnable change = () -> {
                if (mergeable) {
                    region.region.markMergeable(offset, length);
                } else {
                    region.region.markUnmergeable(offset, length);
                }
            };
            if (region.detached || (region.never && mergeable)) {
                assertThatIllegalStateException().isThrownBy(change::run);
            } else {
                change.run();
                want(region, region.start() + offset, length, mergeable);
            }
        }

        private void changeMany(Step step) {
            List<Region> many = new ArrayList<>();
            for (int i = 0; i < regions.size(); i++) {
                if ((step.region() & (1 << i)) != 0) {
                    many.add(regions.get(i));
                }
            }
            Collection<MergeRegion> batch =
                    many.stream().map(region -> region.region).toList();
            changeAll(many, step.kind() == Kind.MARK_MANY, mergeable -> {
                if (mergeable) {
                    ksm.markMergeable(batch);
                } else {
                    ksm.markUnmergeable(batch);
                }
            });
        }

        /** Marks or unmarks all regions or none. */
        private void changeAll(List<Region> changed, boolean mergeable, Consumer<Boolean> change) {
            if (changed.stream().anyMatch(region -> region.detached || (region.never && mergeable))) {
                assertThatIllegalStateException().isThrownBy(() -> change.accept(mergeable));
            } else {
                change.accept(mergeable);
                changed.forEach(region -> want(region, region.start(), region.region.size(), mergeable));
            }
        }

        private void want(Region region, long from, long length, boolean mergeable) {
            for (long page = from; page < from + length; page += pageSize) {
                if (mergeable) {
                    region.wanted.add(page);
                } else {
                    region.wanted.remove(page);
                }
            }
        }

        void close(Region closed) {
            closed.region.close();
            closed.region.close();
            assertThat(closed.region.isOpen()).isFalse();
            assertThatIllegalStateException().isThrownBy(closed.region::markMergeable);
            regions.remove(closed);
            if (closed.allocated) {
                for (Region other : regions) {
                    if (other.overlaps(closed.start(), closed.end())) {
                        other.detached = true;
                        other.wanted.subSet(closed.start(), closed.end()).clear();
                    }
                }
            }
        }

        void compare() {
            NavigableSet<Long> wanted = new TreeSet<>();
            regions.forEach(region -> wanted.addAll(region.wanted));

            Smaps smaps = Smaps.read();
            assertThat(pages.stream().filter(smaps::isMergeable).toList())
                    .as("pages with VmFlags mg")
                    .containsExactlyElementsOf(wanted);

            assertThat(registry.openRegions() - openBefore).isEqualTo(regions.size());
            assertThat(registry.mergeableBytes() - bytesBefore).isEqualTo(wanted.size() * pageSize);
            assertThat(registry.mergeableRanges().stream()
                            .filter(range ->
                                    !pages.subSet(range.start(), range.end()).isEmpty()))
                    .containsExactlyElementsOf(ranges(wanted));
            List<String> marks = new ArrayList<>();
            for (Region region : regions) {
                assertThat(region.region.isMergeable())
                        .isEqualTo(region.wanted.size() == region.region.size() / pageSize);
                ranges(region.wanted).forEach(range -> marks.add(range + " " + region.owner));
            }
            assertThat(registry.marks().stream()
                            .filter(mark -> mark.owner().startsWith("region "))
                            .map(mark -> mark.range() + " " + mark.owner()))
                    .containsExactlyInAnyOrderElementsOf(marks);
            for (long page : pages) {
                assertThat(registry.isMergeable(page)).isEqualTo(wanted.contains(page));
                assertThat(registry.marksCovering(page + pageSize - 1))
                        .extracting(MergeRegistry.Mark::owner)
                        .containsExactlyInAnyOrderElementsOf(regions.stream()
                                .filter(region -> region.wanted.contains(page))
                                .map(region -> region.owner)
                                .toList());
            }
            if (!regions.isEmpty()) {
                compareUnmarked(regions.get(opened % regions.size()), wanted);
            }
        }

        private void compareUnmarked(Region region, NavigableSet<Long> wanted) {
            NavigableSet<Long> unmarked = new TreeSet<>();
            for (long page = region.start(); page < region.end(); page += pageSize) {
                if (!wanted.contains(page)) {
                    unmarked.add(page);
                }
            }
            assertThat(region.region.unmarkedRanges().stream()
                            .mapToLong(AddressRange::length)
                            .sum())
                    .isEqualTo(unmarked.size() * pageSize);
        }

        private List<AddressRange> ranges(NavigableSet<Long> of) {
            List<AddressRange> ranges = new ArrayList<>();
            for (long page : of) {
                AddressRange last = ranges.isEmpty() ? null : ranges.get(ranges.size() - 1);
                if (last != null && last.end() == page) {
                    ranges.set(ranges.size() - 1, new AddressRange(last.start(), last.length() + pageSize));
                } else {
                    ranges.add(new AddressRange(page, pageSize));
                }
            }
            return ranges;
        }

        @Override
        public void close() {
            regions.forEach(region -> region.region.close());
            arena.close();
        }
    }
}
