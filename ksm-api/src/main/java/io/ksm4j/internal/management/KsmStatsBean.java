// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.KsmStatsMXBean;
import java.time.Duration;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** The MBean of the kernel. Each attribute is read separately. */
record KsmStatsBean(Supplier<KsmStats> read) implements KsmStatsMXBean {

    @Override
    public boolean isAvailable() {
        return read.get().isAvailable();
    }

    @Override
    public @Nullable Long getRun() {
        return Attributes.number(read.get().run());
    }

    @Override
    public @Nullable Long getPagesToScan() {
        return Attributes.number(read.get().pagesToScan());
    }

    @Override
    public @Nullable Long getSleepMillisecs() {
        return Attributes.number(read.get().sleepMillisecs());
    }

    @Override
    public @Nullable Long getMergeAcrossNodes() {
        return Attributes.number(read.get().mergeAcrossNodes());
    }

    @Override
    public @Nullable Long getMaxPageSharing() {
        return Attributes.number(read.get().maxPageSharing());
    }

    @Override
    public @Nullable Long getUseZeroPages() {
        return Attributes.number(read.get().useZeroPages());
    }

    @Override
    public @Nullable Long getSmartScan() {
        return Attributes.number(read.get().smartScan());
    }

    @Override
    public @Nullable Long getMaxKernelPages() {
        return Attributes.number(read.get().maxKernelPages());
    }

    @Override
    public @Nullable Long getStableNodeChainsPruneMillisecs() {
        return Attributes.number(read.get().stableNodeChainsPruneMillisecs());
    }

    @Override
    public @Nullable String getAdvisorMode() {
        return read.get().advisorMode().orElse(null);
    }

    @Override
    public @Nullable Long getAdvisorMaxCpu() {
        return Attributes.number(read.get().advisorMaxCpu());
    }

    @Override
    public @Nullable Long getAdvisorTargetScanTime() {
        return Attributes.number(read.get().advisorTargetScanTime());
    }

    @Override
    public @Nullable Long getAdvisorMinPagesToScan() {
        return Attributes.number(read.get().advisorMinPagesToScan());
    }

    @Override
    public @Nullable Long getAdvisorMaxPagesToScan() {
        return Attributes.number(read.get().advisorMaxPagesToScan());
    }

    @Override
    public @Nullable Long getPagesShared() {
        return Attributes.number(read.get().pagesShared());
    }

    @Override
    public @Nullable Long getPagesSharing() {
        return Attributes.number(read.get().pagesSharing());
    }

    @Override
    public @Nullable Long getPagesUnshared() {
        return Attributes.number(read.get().pagesUnshared());
    }

    @Override
    public @Nullable Long getPagesVolatile() {
        return Attributes.number(read.get().pagesVolatile());
    }

    @Override
    public @Nullable Long getPagesScanned() {
        return Attributes.number(read.get().pagesScanned());
    }

    @Override
    public @Nullable Long getPagesSkipped() {
        return Attributes.number(read.get().pagesSkipped());
    }

    @Override
    public @Nullable Long getFullScans() {
        return Attributes.number(read.get().fullScans());
    }

    @Override
    public @Nullable Long getStableNodeChains() {
        return Attributes.number(read.get().stableNodeChains());
    }

    @Override
    public @Nullable Long getStableNodeDups() {
        return Attributes.number(read.get().stableNodeDups());
    }

    @Override
    public @Nullable Long getKsmZeroPages() {
        return Attributes.number(read.get().ksmZeroPages());
    }

    @Override
    public @Nullable Long getGeneralProfit() {
        return Attributes.number(read.get().generalProfit());
    }

    @Override
    public @Nullable Long getCowKsm() {
        return Attributes.number(read.get().cowKsm());
    }

    @Override
    public @Nullable Long getKsmSwpinCopy() {
        return Attributes.number(read.get().ksmSwpinCopy());
    }

    @Override
    public @Nullable Long getSavedBytes() {
        return Attributes.number(read.get().savedBytes());
    }

    @Override
    public @Nullable Long getUsedBytes() {
        return Attributes.number(read.get().usedBytes());
    }

    @Override
    public @Nullable Long getRmapItems() {
        return Attributes.number(read.get().rmapItems());
    }

    @Override
    public @Nullable Long getProfitBytes() {
        return Attributes.number(read.get().profitBytes());
    }

    @Override
    public @Nullable Double getSharingRatio() {
        return Attributes.ratio(read.get().sharingRatio());
    }

    @Override
    public @Nullable Double getWastedEffort() {
        return Attributes.ratio(read.get().wastedEffort());
    }

    @Override
    public @Nullable Double getVolatileShare() {
        return Attributes.ratio(read.get().volatileShare());
    }

    @Override
    public @Nullable Long getFullScanMillis() {
        return read.get().fullScanTime().map(Duration::toMillis).orElse(null);
    }
}
