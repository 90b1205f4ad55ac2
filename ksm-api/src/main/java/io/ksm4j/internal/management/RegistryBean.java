// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.stats.MergeRegistryMXBean;
import java.time.Instant;
import java.util.List;
import java.util.function.Supplier;

/** The MBean of the registry. */
record RegistryBean(Supplier<RegionTable> table) implements MergeRegistryMXBean {

    /** Loads the classes that are otherwise loaded only once there is a mark. */
    static void loadClasses() {
        new View(new RegionTable.Mark(0, 1, "", 0)).getSince();
    }

    @Override
    public long getOpenRegions() {
        return table.get().openRegions();
    }

    @Override
    public long getMergeableBytes() {
        return table.get().mergeableBytes.get();
    }

    @Override
    public long getLeaks() {
        return table.get().leaks.get();
    }

    @Override
    public List<MarkView> getMarks() {
        return table.get().marks(0, Long.MAX_VALUE, MAX_MARKS).stream()
                .<MarkView>map(View::new)
                .toList();
    }

    private record View(RegionTable.Mark mark) implements MarkView {

        @Override
        public String getAddress() {
            return Long.toHexString(mark.start());
        }

        @Override
        public long getBytes() {
            return mark.end() - mark.start();
        }

        @Override
        public String getOwner() {
            return mark.owner();
        }

        @Override
        public String getSince() {
            return Instant.ofEpochMilli(mark.since()).toString();
        }
    }
}
