// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.AddressRange;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tck.Mapping;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Between changes, the registry, the kernel's {@code VmFlags} and a simple model agree about every page. */
@EnabledIfKsm
final class Marks {

    private static final int STEPS = 80;

    @Test
    void theRegistryAndTheKernelAgreeUnderRandomMarks() {
        long seed = new SecureRandom().nextLong();
        try (World world = new World(new Random(seed))) {
            world.compare("at first");
            for (int step = 0; step < STEPS; step++) {
                String change = world.change();
                world.compare("step " + step + " of seed " + seed + ": " + change);
            }
        }
    }

    /** A region, and the pages that it has marked mergeable. */
    private record Region(MergeRegion region, NavigableSet<Long> wanted) {}

    /** Real regions and their model. */
    private static final class World implements AutoCloseable {

        private static final int MEMORY_PAGES = 24;
        private static final int MAX_REGIONS = 6;
        private static final int PROT_READ_WRITE = 3;
        private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

        private final Random random;
        private final KsmBackend backend = Backend.any();
        private final Ksm ksm = Backend.ksm();
        private final MergeRegistry registry = MergeRegistry.system();
        private final long pageSize = backend.pageSize();
        private final long bytesBefore = registry.mergeableBytes();
        private final List<Region> regions = new ArrayList<>();

        /** Pages that no region owns, with an inaccessible page on each side. */
        private final long mapped;

        World(Random random) {
            this.random = random;
            mapped = backend.mmap((MEMORY_PAGES + 2) * pageSize, 0, MAP_PRIVATE_ANONYMOUS);
            assertThat(backend.mprotect(memory(), MEMORY_PAGES * pageSize, PROT_READ_WRITE))
                    .isZero();
        }

        private long memory() {
            return mapped + pageSize;
        }

        /** Makes a random change, and returns its description. */
        String change() {
            int kind = random.nextInt(8);
            if (regions.isEmpty() || (kind < 3 && regions.size() < MAX_REGIONS)) {
                return open(kind == 0);
            }
            Region region = regions.get(random.nextInt(regions.size()));
            boolean mergeable = random.nextBoolean();
            switch (kind) {
                case 3 -> {
                    region.region.close();
                    regions.remove(region);
                    return "close " + region.region;
                }
                case 4 -> {
                    List<Region> some =
                            regions.stream().filter(one -> random.nextBoolean()).toList();
                    List<MergeRegion> batch =
                            some.stream().map(one -> one.region).toList();
                    if (mergeable) {
                        ksm.markMergeable(batch);
                    } else {
                        ksm.markUnmergeable(batch);
                    }
                    some.forEach(one -> want(one, 0, one.region.size(), mergeable));
                    return "all of " + batch + " " + mergeable;
                }
                case 5 -> {
                    if (mergeable) {
                        region.region.markMergeable();
                    } else {
                        region.region.markUnmergeable();
                    }
                    want(region, 0, region.region.size(), mergeable);
                    return region.region + " " + mergeable;
                }
                default -> {
                    int pages = (int) (region.region.size() / pageSize);
                    int first = random.nextInt(pages);
                    long offset = first * pageSize;
                    long length = (1 + random.nextInt(pages - first)) * pageSize;
                    if (mergeable) {
                        region.region.markMergeable(offset, length);
                    } else {
                        region.region.markUnmergeable(offset, length);
                    }
                    want(region, offset, length, mergeable);
                    return length + " bytes at " + offset + " of " + region.region + " " + mergeable;
                }
            }
        }

        private String open(boolean allocated) {
            boolean mergeable = random.nextBoolean();
            RegionOptions options = RegionOptions.DEFAULT
                    .withMarking(mergeable ? Marking.MERGEABLE : Marking.UNMERGEABLE)
                    .withGuardPages(random.nextBoolean());
            MergeRegion opened;
            if (allocated) {
                opened = ksm.allocate((1 + random.nextInt(MEMORY_PAGES)) * pageSize, options);
            } else {
                int first = random.nextInt(MEMORY_PAGES);
                int pages = 1 + random.nextInt(MEMORY_PAGES - first);
                opened = ksm.adopt(memory() + first * pageSize, pages * pageSize, options);
            }
            Region region = new Region(opened, new TreeSet<>());
            regions.add(region);
            want(region, 0, opened.size(), mergeable);
            return (allocated ? "allocate " : "adopt ") + opened + " " + mergeable;
        }

        private void want(Region region, long offset, long length, boolean mergeable) {
            long from = region.region.address() + offset;
            for (long page = from; page < from + length; page += pageSize) {
                if (mergeable) {
                    region.wanted.add(page);
                } else {
                    region.wanted.remove(page);
                }
            }
        }

        void compare(String when) {
            NavigableSet<Long> wanted = new TreeSet<>();
            NavigableSet<Long> pages = new TreeSet<>();
            addPages(new AddressRange(memory(), MEMORY_PAGES * pageSize), pages);
            for (Region region : regions) {
                wanted.addAll(region.wanted);
                addPages(region.region.range(), pages);
                assertThat(region.region.isMergeable())
                        .as("%s: %s", when, region)
                        .isEqualTo(region.wanted.size() == region.region.size() / pageSize);
            }
            NavigableMap<Long, Mapping> mappings = new TreeMap<>();
            Mapping.between(0, Long.MAX_VALUE).forEach(mapping -> mappings.put(mapping.start(), mapping));
            assertThat(pages.stream().filter(page -> isMergeable(mappings, page)))
                    .as("%s: pages with the flag mg", when)
                    .containsExactlyElementsOf(wanted);
            assertThat(pages.stream().filter(registry::isMergeable))
                    .as("%s: pages in the registry", when)
                    .containsExactlyElementsOf(wanted);
            assertThat(registry.mergeableBytes() - bytesBefore)
                    .as("%s: bytes in the registry", when)
                    .isEqualTo(wanted.size() * pageSize);
        }

        private void addPages(AddressRange range, NavigableSet<Long> pages) {
            for (long page = range.start(); page < range.end(); page += pageSize) {
                pages.add(page);
            }
        }

        private static boolean isMergeable(NavigableMap<Long, Mapping> mappings, long page) {
            Map.Entry<Long, Mapping> at = mappings.floorEntry(page);
            return at != null && page < at.getValue().end() && at.getValue().isMergeable();
        }

        @Override
        public void close() {
            regions.forEach(region -> region.region.close());
            backend.munmap(mapped, (MEMORY_PAGES + 2) * pageSize);
        }
    }
}
