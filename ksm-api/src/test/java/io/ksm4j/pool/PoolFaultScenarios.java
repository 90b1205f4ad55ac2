// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.faults.Faults;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;

/**
 * Performs an operation on a pool repeatedly, each time with a fault one step later, until no fault occurs any more.
 * Runs in its own class loader, and returns its findings as text.
 */
@SuppressWarnings("exports") // Tests are no module.
public final class PoolFaultScenarios implements BiFunction<String, Faults.Kind, List<String>> {

    /** Called by reflection. */
    public PoolFaultScenarios() {}

    private static final Ksm KSM = Ksm.fallback();
    private static final int PAGE = (int) KSM.pageSize();
    private static final int PAGES = 32;

    /** More steps than an operation on blocks has. */
    private static final int MAX_STEPS = 60;

    /** A pool, and its blocks with what they should contain; {@code null} for a block that was closed. */
    private static final class World {
        final MergePool pool;
        final List<MergeBlock> blocks = new ArrayList<>();

        World(Layout layout) {
            pool = MergePool.builder(KSM, (long) PAGES * PAGE)
                    .deduplication(Deduplication.ON_STORE)
                    .layout(layout)
                    .retainedShare(0.5)
                    .build();
        }

        void store(int... kinds) {
            blocks.add(pool.store(value(kinds)));
        }

        void storeSmall(int kind) {
            blocks.add(pool.store(Arrays.copyOf(value(kind), 100)));
        }

        void allocate(int... kinds) {
            MergeBlock block = pool.allocate(kinds.length * PAGE);
            block.put(0, value(kinds));
            blocks.add(block);
        }
    }

    private static byte[] value(int... kinds) {
        byte[] value = new byte[kinds.length * PAGE];
        for (int i = 0; i < kinds.length; i++) {
            Arrays.fill(value, i * PAGE, (i + 1) * PAGE, (byte) kinds[i]);
        }
        return value;
    }

    private interface Step {
        void perform(World world);
    }

    private record Scenario(Layout layout, Step prepare, Step act) {

        Scenario(Step prepare, Step act) {
            this(Layout.PAGES, prepare, act);
        }
    }

    private static final Map<String, Scenario> SCENARIOS = new TreeMap<>(Map.of(
            "store something new", new Scenario(w -> {}, w -> w.store(1)),
            "store what is there", new Scenario(w -> w.store(1, 2), w -> w.store(1, 2)),
            "store what is there in part", new Scenario(w -> w.store(1, 2, 3), w -> w.store(4, 1, 5, 3, 6)),
            "store into retained pages", new Scenario(PoolFaultScenarios::retain, w -> w.store(1, 2, 3)),
            "store when the index must grow", new Scenario(PoolFaultScenarios::fillIndex, w -> w.store(31)),
            "allocate retained pages",
                    new Scenario(PoolFaultScenarios::retain, w -> w.blocks.add(w.pool.allocate(3 * PAGE))),
            "seal",
                    new Scenario(
                            w -> {
                                w.store(1, 2);
                                w.allocate(3, 1, 2, 4);
                            },
                            w -> w.blocks.get(1).seal()),
            "close what others share",
                    new Scenario(
                            w -> {
                                w.store(1, 2, 3, 4);
                                w.store(2, 3);
                            },
                            w -> w.blocks.get(0).close()),
            "trim", new Scenario(PoolFaultScenarios::retain, w -> w.pool.trim()),
            "clear", new Scenario(w -> w.store(1, 2, 3), w -> w.pool.clear())));

    static {
        SCENARIOS.put("store a first small value", new Scenario(Layout.PACKED, w -> {}, w -> w.storeSmall(1)));
        SCENARIOS.put(
                "store another small value", new Scenario(Layout.PACKED, w -> w.storeSmall(1), w -> w.storeSmall(2)));
        SCENARIOS.put(
                "store a value with a small rest",
                new Scenario(
                        Layout.PACKED,
                        w -> w.storeSmall(1),
                        w -> w.blocks.add(w.pool.store(Arrays.copyOf(value(1, 2), PAGE + 100)))));
        SCENARIOS.put(
                "seal a value with a small rest",
                new Scenario(
                        Layout.PACKED,
                        w -> {
                            w.storeSmall(0);
                            w.blocks.add(w.pool.allocate(PAGE + 100));
                        },
                        w -> w.blocks.get(1).seal()));
        SCENARIOS.put(
                "close the last small value of a page",
                new Scenario(
                        Layout.PACKED,
                        w -> w.storeSmall(1),
                        w -> w.blocks.get(0).close()));
    }

    private static void retain(World w) {
        w.store(7, 8, 9);
        w.blocks.remove(0).close();
    }

    private static void fillIndex(World w) {
        for (int kind = 1; kind <= 20; kind++) {
            w.store(kind);
        }
    }

    static List<String> names() {
        return SCENARIOS.keySet().stream().sorted().toList();
    }

    @Override
    public List<String> apply(String name, Faults.Kind kind) {
        List<String> faults = new ArrayList<>();
        Scenario scenario = SCENARIOS.get(name);
        State done = null;
        // Load and link everything that is used before any resource runs out.
        for (int i = 0; i < 3; i++) {
            World world = prepared(scenario);
            scenario.act().perform(world);
            done = new State(world);
            check(world, "without faults", faults);
        }
        int at = 1;
        while (perform(scenario, kind, at, done, faults) && faults.isEmpty()) {
            // Most of many steps are alike: levels of the check for room on the stack, parts of a new index.
            at += at > MAX_STEPS ? 101 : 1;
        }
        return faults;
    }

    private static World prepared(Scenario scenario) {
        World world = new World(scenario.layout());
        scenario.prepare().perform(world);
        return world;
    }

    /** Returns whether the fault occurred. */
    private static boolean perform(Scenario scenario, Faults.Kind kind, int at, State done, List<String> faults) {
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
        String when = kind + " " + at + " (" + failure + ")";
        try {
            if (failure == null ? !after.equals(done) : !after.equals(before) && !after.equals(done)) {
                faults.add(when + " left " + after + "; before: " + before + "; done: " + done);
            }
            check(world, when, faults);
        } catch (Throwable t) {
            faults.add(when + ": nothing works afterwards: " + t);
        }
        return met;
    }

    /** What a user sees: the contents of the blocks, and what the pool counts. */
    private record State(List<String> blocks, long used, long logical, long values, long count) {

        State(World world) {
            this(
                    world.blocks.stream().map(State::describe).toList(),
                    world.pool.stats().usedBytes(),
                    world.pool.stats().logicalBytes(),
                    world.pool.stats().valueBytes(),
                    world.pool.stats().blocks());
        }

        private static String describe(MergeBlock block) {
            StringBuilder text = new StringBuilder(block.isSealed() ? "sealed" : "open");
            try {
                byte[] bytes = block.toByteArray();
                for (int page = 0; page < bytes.length; page += PAGE) {
                    byte last = bytes[Math.min(page + PAGE, bytes.length) - 1];
                    text.append(' ').append(bytes[page]).append(last == bytes[page] ? "" : "torn");
                }
            } catch (IllegalStateException e) {
                text.append(" closed");
            }
            return text.toString();
        }
    }

    /** Everything can be closed, nothing is left, and all pages can be used again. */
    private static void check(World world, String when, List<String> faults) {
        world.blocks.forEach(MergeBlock::close);
        PoolStats stats = world.pool.stats();
        if (stats.usedBytes() != 0 || stats.blocks() != 0 || stats.logicalBytes() != 0 || stats.valueBytes() != 0) {
            faults.add(when + ": all closed, but " + stats);
        }
        for (int page = 0; page < PAGES; page++) {
            byte[] bytes = world.pool.allocate(PAGE).toByteArray();
            if (!Arrays.equals(bytes, new byte[PAGE])) {
                faults.add(when + ": old bytes in page " + page);
            }
        }
        world.pool.close();
        if (KSM.registry().openRegions() != 0) {
            // Without any heap memory a new region cannot even be closed. Then it is reclaimed like a forgotten one.
            await().atMost(PATIENCE).until(() -> {
                System.gc();
                return KSM.registry().openRegions() == 0;
            });
        }
    }
}
