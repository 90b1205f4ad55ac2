// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.faults.Faults;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.Slot;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;

/**
 * Performs an operation on regions repeatedly, each time with a fault one step later, until no fault occurs any more.
 * Runs in its own class loader, and returns its findings as text.
 */
@SuppressWarnings("exports") // Tests are no module.
public final class FaultScenarios implements BiFunction<String, Faults.Kind, List<String>> {

    /** Called by reflection. */
    public FaultScenarios() {}

    private static final int PAGE = PageModel.PAGE;
    private static final RegionOptions PLAIN = RegionOptions.DEFAULT.withVerify(false);
    private static final RegionOptions UNMARKED = PLAIN.withMarking(Marking.UNMERGEABLE);
    private static final RegionOptions NEVER = PLAIN.withMarking(Marking.NEVER);

    /** A kernel, some regions, and the operations on them. */
    private static final class World {
        final PageModel kernel = new PageModel();
        final Ksm ksm = Ksm.with(kernel);
        final List<MergeRegion> regions = new ArrayList<>();
        final List<Object> kept = new ArrayList<>();

        MergeRegion allocate(int pages, RegionOptions options) {
            MergeRegion region = ksm.allocate((long) pages * PAGE, options);
            regions.add(region);
            return region;
        }

        MergeRegion adopt(MergeRegion memory, int first, int pages, RegionOptions options) {
            MergeRegion region =
                    ksm.adopt(memory.address() + (long) first * PAGE, (long) pages * PAGE, options, () -> true);
            regions.add(region);
            return region;
        }

        MergeRegion region(int index) {
            return regions.get(index);
        }
    }

    private interface Step {
        void perform(World world);
    }

    /** An operation that either happens or does not. */
    private record Scenario(Step prepare, Step act) {}

    private static final String DEAD = "allocate where dead memory was";
    private static final String IN = "opt the process in";
    private static final String OUT = "opt the process out";

    /**
     * The operations that may happen in part. If an allocation detects regions whose memory no longer exists, this
     * remains valid even if the allocation fails. When the process is opted out, regions that cannot be marked again
     * are unmarked.
     */
    private static final Set<String> IN_PARTS = Set.of(DEAD, IN, OUT);

    private static final Map<String, Scenario> SCENARIOS = Map.ofEntries(
            scenario("allocate", w -> {}, w -> w.allocate(2, PLAIN)),
            scenario("allocate named", w -> {}, w -> w.allocate(2, PLAIN.withName("prices"))),
            scenario("allocate unmarked", w -> {}, w -> w.allocate(2, UNMARKED)),
            scenario("allocate populated", w -> {}, w -> w.allocate(2, PLAIN.withPopulate(true))),
            scenario("allocate what must not merge", w -> {}, w -> w.allocate(2, NEVER)),
            scenario(DEAD, FaultScenarios::leaveDeadRegions, w -> w.allocate(8, PLAIN)),
            scenario("adopt", w -> w.allocate(8, UNMARKED), w -> w.adopt(w.region(0), 1, 3, PLAIN)),
            scenario(
                    "adopt what must not merge",
                    w -> w.kept.add(w.kernel.mmap(8 * PAGE, 3, 0)),
                    w -> w.regions.add(w.ksm.adopt(PageModel.FIRST, 8 * PAGE, NEVER))),
            scenario("mark", w -> w.allocate(2, UNMARKED), w -> w.region(0).markMergeable()),
            scenario("mark again", w -> w.allocate(2, PLAIN), w -> w.region(0).markMergeable()),
            scenario("unmark", w -> w.allocate(2, PLAIN), w -> w.region(0).markUnmergeable()),
            scenario(
                    "mark a part",
                    w -> w.allocate(8, UNMARKED),
                    w -> w.region(0).markMergeable(PAGE, 2 * PAGE)),
            scenario(
                    "mark a part that joins two",
                    w -> {
                        w.allocate(8, UNMARKED).markMergeable(0, PAGE);
                        w.region(0).markMergeable(3 * PAGE, PAGE);
                    },
                    w -> w.region(0).markMergeable(PAGE, 2 * PAGE)),
            scenario(
                    "mark the missing part",
                    w -> w.allocate(8, PLAIN).markUnmergeable(PAGE, PAGE),
                    w -> w.region(0).markMergeable(PAGE, PAGE)),
            scenario(
                    "mark all where parts are marked",
                    FaultScenarios::markEveryOtherPage,
                    w -> w.region(0).markMergeable()),
            scenario(
                    "unmark all where parts are marked",
                    FaultScenarios::markEveryOtherPage,
                    w -> w.region(0).markUnmergeable()),
            scenario(
                    "unmark a part", w -> w.allocate(8, PLAIN), w -> w.region(0).markUnmergeable(2 * PAGE, PAGE)),
            scenario(
                    "unmark a part of a part",
                    w -> w.allocate(8, UNMARKED).markMergeable(PAGE, 5 * PAGE),
                    w -> w.region(0).markUnmergeable(2 * PAGE, PAGE)),
            scenario(
                    "unmark a part of many",
                    FaultScenarios::markEveryOtherPage,
                    w -> w.region(0).markUnmergeable(3 * PAGE, 20 * PAGE)),
            scenario(
                    "mark where another region wants a part",
                    FaultScenarios::overlap,
                    w -> w.region(0).markMergeable()),
            scenario(
                    "unmark what another region wants",
                    w -> {
                        w.allocate(8, PLAIN);
                        w.adopt(w.region(0), 2, 3, PLAIN);
                    },
                    w -> w.region(0).markUnmergeable()),
            scenario(
                    "unmark a part that another region wants",
                    w -> {
                        w.allocate(8, PLAIN);
                        w.adopt(w.region(0), 2, 3, PLAIN);
                    },
                    w -> w.region(0).markUnmergeable(PAGE, 4 * PAGE)),
            scenario(
                    "mark many",
                    w -> {
                        for (int i = 0; i < 5; i++) {
                            w.allocate(2, UNMARKED);
                        }
                    },
                    w -> w.ksm.markMergeable(w.regions)),
            scenario(
                    "unmark many that overlap",
                    w -> {
                        w.allocate(8, PLAIN);
                        w.adopt(w.region(0), 2, 3, PLAIN);
                        w.adopt(w.region(0), 4, 4, PLAIN);
                        w.allocate(2, PLAIN);
                    },
                    w -> w.ksm.markUnmergeable(w.regions)),
            scenario("close", w -> w.allocate(2, PLAIN), w -> w.region(0).close()),
            scenario(
                    "close with parts",
                    FaultScenarios::markEveryOtherPage,
                    w -> w.region(0).close()),
            scenario(
                    "close with a buffer in use",
                    w -> {
                        ByteBuffer buffer = w.allocate(2, PLAIN).buffer();
                        w.kept.add(buffer);
                    },
                    w -> w.region(0).close()),
            scenario(
                    "close what others have adopted",
                    FaultScenarios::overlapBothEdges,
                    w -> w.region(0).close()),
            scenario(
                    "close adopted memory",
                    w -> {
                        w.allocate(8, UNMARKED);
                        w.adopt(w.region(0), 2, 3, PLAIN);
                    },
                    w -> w.region(1).close()),
            scenario(
                    "close adopted memory with parts",
                    w -> {
                        w.allocate(40, UNMARKED);
                        w.adopt(w.region(0), 2, 30, UNMARKED);
                        markEveryOtherPage(w.region(1));
                    },
                    w -> w.region(1).close()),
            scenario("discard", w -> w.allocate(2, PLAIN), w -> w.region(0).discard(0, PAGE)),
            scenario(
                    IN,
                    w -> {
                        w.allocate(2, PLAIN);
                        w.allocate(2, NEVER);
                    },
                    w -> w.ksm.process().markMergeable()),
            scenario(
                    OUT,
                    w -> {
                        w.allocate(2, PLAIN);
                        markEveryOtherPage(w);
                        w.ksm.process().markMergeable();
                    },
                    w -> w.ksm.process().markUnmergeable()));

    private static Map.Entry<String, Scenario> scenario(String name, Step prepare, Step act) {
        return Map.entry(name, new Scenario(prepare, act));
    }

    /** The names of all scenarios. */
    static List<String> names() {
        return SCENARIOS.keySet().stream().sorted().toList();
    }

    private static void markEveryOtherPage(World w) {
        markEveryOtherPage(w.allocate(40, UNMARKED));
    }

    private static void markEveryOtherPage(MergeRegion region) {
        for (long at = 0; at < region.size(); at += 2 * PAGE) {
            region.markMergeable(at, PAGE);
        }
    }

    private static void overlap(World w) {
        w.allocate(8, UNMARKED);
        w.adopt(w.region(0), 2, 3, PLAIN);
    }

    /**
     * Regions that extend beyond the one that they overlap, at both ends. When that one is closed, two pieces of them
     * remain.
     */
    private static void overlapBothEdges(World w) {
        w.allocate(8, UNMARKED.withGuardPages(false));
        long before = w.region(0).address() - PAGE;
        w.kernel.mapped.set(0, 64);
        w.regions.add(w.ksm.adopt(Math.max(before, PageModel.FIRST), 12L * PAGE, PLAIN, () -> true));
        w.region(1).markUnmergeable(2 * PAGE, PAGE);
    }

    /** Makes the next allocation return addresses that adopted regions still cover. */
    private static void leaveDeadRegions(World w) {
        w.kernel.mmap(20 * PAGE, 3, 0);
        w.regions.add(w.ksm.adopt(PageModel.FIRST, 6 * PAGE, PLAIN, () -> true));
        w.regions.add(w.ksm.adopt(PageModel.FIRST + 4 * PAGE, 16 * PAGE, PLAIN, () -> true));
        w.kernel.munmap(PageModel.FIRST, 20 * PAGE);
        w.kernel.handOutAgain(PageModel.FIRST + 2 * PAGE);
    }

    @Override
    public List<String> apply(String name, Faults.Kind kind) {
        List<String> faults = new ArrayList<>();
        Scenario scenario = SCENARIOS.get(name);
        // Load and link everything that is used before any resource runs out.
        for (int i = 0; i < 3; i++) {
            World world = prepared(scenario);
            scenario.act().perform(world);
            clear(world);
        }
        World world = prepared(scenario);
        scenario.act().perform(world);
        State done = new State(world);
        clear(world);
        int mapped = world.kernel.mappedPages();
        for (int at = 1; perform(scenario, !IN_PARTS.contains(name), kind, at, done, mapped, faults); at++) {
            // the next fault
        }
        return faults;
    }

    private static World prepared(Scenario scenario) {
        World world = new World();
        scenario.prepare().perform(world);
        return world;
    }

    /** Returns whether the fault occurred. */
    private static boolean perform(
            Scenario scenario,
            boolean isAtomic,
            Faults.Kind kind,
            int at,
            State done,
            int mapped,
            List<String> faults) {
        World world = prepared(scenario);
        State before = new State(world);
        Throwable failure = null;
        Faults.arm(kind, at);
        try {
            scenario.act().perform(world);
        } catch (Throwable t) {
            failure = t;
        }
        boolean met = Faults.disarm();
        State after = new State(world);
        try {
            if (failure == null ? !after.equals(done) : isAtomic && !after.equals(before) && !after.equals(done)) {
                faults.add(kind + " " + at + ": " + failure + " left " + after + "; before: " + before + "; done: "
                        + done);
            }
            check(world, kind + " " + at + " (" + failure + ")", mapped, faults);
        } catch (Throwable t) {
            faults.add(kind + " " + at + ": after " + failure + " nothing works: " + t);
        }
        return met;
    }

    /** The observable state of a world, by pages counted from the first one. */
    private record State(List<String> regions, List<AddressRange> kernel, List<AddressRange> registry, long open) {

        State(World world) {
            this(
                    world.regions.stream().map(State::describe).toList(),
                    world.kernel.mergeableRanges(),
                    world.ksm.registry().mergeableRanges(),
                    world.ksm.registry().openRegions());
        }

        private static String describe(MergeRegion region) {
            return region.isOpen() ? "open, mergeable " + region.isMergeable() : "closed";
        }
    }

    private static void check(World world, String when, int mapped, List<String> faults) {
        long bytes = world.ksm.registry().mergeableRanges().stream()
                .mapToLong(AddressRange::length)
                .sum();
        if (world.ksm.registry().mergeableBytes() != bytes) {
            faults.add(when + ": mergeableBytes " + world.ksm.registry().mergeableBytes() + " of " + bytes);
        }
        boolean optedIn = world.ksm.process().isMergeable();
        for (MergeRegion region : world.regions) {
            if (region.isOpen() && region.state().slot.is(Slot.BUSY)) {
                faults.add(when + ": busy for ever: " + region);
                return;
            }
        }
        if (!optedIn && !world.kernel.mergeableRanges().equals(mappedOnly(world))) {
            faults.add(when + ": kernel " + world.kernel.mergeableRanges() + ", registry "
                    + world.ksm.registry().mergeableRanges());
        }
        boolean inUse = !world.kept.isEmpty();
        clear(world);
        // Addresses stay mapped while a buffer is reachable.
        if (!inUse && world.kernel.mappedPages() != mapped) {
            faults.add(when + ": all closed, but mapped " + world.kernel.mappedPages() + " pages and not " + mapped);
        }
        if (world.ksm.registry().openRegions() != 0 || world.ksm.registry().mergeableBytes() != 0) {
            faults.add(when + ": all closed, but open " + world.ksm.registry().openRegions() + ", mergeable "
                    + world.ksm.registry().mergeableBytes());
        }
        long promised = ((long[]) SharedTable.table().shared()[5])[3];
        if (promised != 0) {
            faults.add(when + ": nodes promised for ever: " + promised);
        }
    }

    /** The state of the registry, for existing memory. */
    private static List<AddressRange> mappedOnly(World world) {
        PageModel wanted = new PageModel();
        for (AddressRange range : world.ksm.registry().mergeableRanges()) {
            for (long at = range.start(); at < range.end(); at += PAGE) {
                int page = (int) ((at - PageModel.FIRST) / PAGE);
                if (world.kernel.mapped.get(page)) {
                    wanted.mergeable.set(page);
                }
            }
        }
        return wanted.mergeableRanges();
    }

    /** Also releases what a failed operation could not release. */
    private static void clear(World world) {
        world.regions.forEach(MergeRegion::close);
        world.ksm.allocate(PAGE).close();
        world.ksm.process().markUnmergeable();
        world.kept.clear();
    }
}
