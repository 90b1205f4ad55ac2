// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.ProcessKsmStatsMXBean;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The MBean of this process. Each attribute is read separately. */
record ProcessKsmStatsBean(Supplier<ProcessKsmStats> read) implements ProcessKsmStatsMXBean {

    @Override
    public long getPid() {
        return read.get().pid();
    }

    @Override
    public @Nullable Long getRmapItems() {
        return Attributes.number(read.get().rmapItems());
    }

    @Override
    public @Nullable Long getMergingPages() {
        return Attributes.number(read.get().mergingPages());
    }

    @Override
    public @Nullable Long getZeroPages() {
        return Attributes.number(read.get().zeroPages());
    }

    @Override
    public @Nullable Long getProcessProfit() {
        return Attributes.number(read.get().processProfit());
    }

    @Override
    public @Nullable Boolean getMergeAny() {
        return read.get().mergeAny().orElse(null);
    }

    @Override
    public @Nullable Boolean getMergeable() {
        return read.get().mergeable().orElse(null);
    }

    @Override
    public @Nullable Long getMergedBytes() {
        return Attributes.number(read.get().mergedBytes());
    }

    @Override
    public @Nullable Long getProfitBytes() {
        return Attributes.number(read.get().profitBytes());
    }

    @Override
    public @Nullable Double getRmapItemsPerMergedPage() {
        return Attributes.ratio(read.get().rmapItemsPerMergedPage());
    }
}
