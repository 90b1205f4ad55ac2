// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.internal.CounterText;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.Period;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;

/**
 * Statistics that Java Flight Recorder records periodically. A value that the kernel does not report is
 * {@link #MISSING}.
 */
@Category("ksm4j")
@Period("10 s")
@StackTrace(false)
abstract class StatisticsEvent extends Event {

    /** The value that the JFR tools treat as missing. */
    static final long MISSING = Long.MIN_VALUE;

    @Name("io.ksm4j.KernelStatistics")
    @Label("KSM Kernel Statistics")
    @Description("KSM on the whole machine. A value that this kernel does not report is missing (Long.MIN_VALUE)")
    static final class KernelStatistics extends StatisticsEvent {

        @Label("Run")
        @Description(CounterText.RUN)
        long run;

        @Label("Pages to Scan")
        @Description(CounterText.PAGES_TO_SCAN)
        long pagesToScan;

        @Label("Sleep Time")
        @Description(CounterText.SLEEP_MILLISECS)
        @Timespan(Timespan.MILLISECONDS)
        long sleepMillisecs;

        @Label("Pages Shared")
        @Description(CounterText.PAGES_SHARED)
        long pagesShared;

        @Label("Pages Sharing")
        @Description(CounterText.PAGES_SHARING)
        long pagesSharing;

        @Label("Pages Unshared")
        @Description(CounterText.PAGES_UNSHARED)
        long pagesUnshared;

        @Label("Pages Volatile")
        @Description(CounterText.PAGES_VOLATILE)
        long pagesVolatile;

        @Label("Zero Pages")
        @Description(CounterText.KSM_ZERO_PAGES)
        long ksmZeroPages;

        @Label("Pages Scanned")
        @Description(CounterText.PAGES_SCANNED)
        long pagesScanned;

        @Label("Pages Skipped")
        @Description(CounterText.PAGES_SKIPPED)
        long pagesSkipped;

        @Label("Full Scans")
        @Description(CounterText.FULL_SCANS)
        long fullScans;

        @Label("Chains")
        @Description(CounterText.STABLE_NODE_CHAINS)
        long stableNodeChains;

        @Label("Pages in Chains")
        @Description(CounterText.STABLE_NODE_DUPS)
        long stableNodeDups;

        @Label("Pages Copied on Write")
        @Description(CounterText.COW_KSM)
        long cowKsm;

        @Label("Pages Copied from Swap")
        @Description(CounterText.KSM_SWPIN_COPY)
        long ksmSwpinCopy;

        @Label("Saved Size")
        @Description(CounterText.SAVED_BYTES)
        @DataAmount
        long savedBytes;

        @Label("Used Size")
        @Description(CounterText.USED_BYTES)
        @DataAmount
        long usedBytes;

        @Label("Profit by the Kernel")
        @Description(CounterText.GENERAL_PROFIT)
        @DataAmount
        long generalProfit;

        @Label("Profit")
        @Description(CounterText.PROFIT_BYTES)
        @DataAmount
        long profitBytes;

        static void emit() {
            KernelStatistics event = new KernelStatistics();
            KsmStats stats = KsmStats.read();
            event.run = stats.run().orElse(MISSING);
            event.pagesToScan = stats.pagesToScan().orElse(MISSING);
            event.sleepMillisecs = stats.sleepMillisecs().orElse(MISSING);
            event.pagesShared = stats.pagesShared().orElse(MISSING);
            event.pagesSharing = stats.pagesSharing().orElse(MISSING);
            event.pagesUnshared = stats.pagesUnshared().orElse(MISSING);
            event.pagesVolatile = stats.pagesVolatile().orElse(MISSING);
            event.ksmZeroPages = stats.ksmZeroPages().orElse(MISSING);
            event.pagesScanned = stats.pagesScanned().orElse(MISSING);
            event.pagesSkipped = stats.pagesSkipped().orElse(MISSING);
            event.fullScans = stats.fullScans().orElse(MISSING);
            event.stableNodeChains = stats.stableNodeChains().orElse(MISSING);
            event.stableNodeDups = stats.stableNodeDups().orElse(MISSING);
            event.cowKsm = stats.cowKsm().orElse(MISSING);
            event.ksmSwpinCopy = stats.ksmSwpinCopy().orElse(MISSING);
            event.savedBytes = stats.savedBytes().orElse(MISSING);
            event.usedBytes = stats.usedBytes().orElse(MISSING);
            event.generalProfit = stats.generalProfit().orElse(MISSING);
            event.profitBytes = stats.profitBytes().orElse(MISSING);
            event.commit();
        }
    }

    @Name("io.ksm4j.ProcessStatistics")
    @Label("KSM Process Statistics")
    @Description("KSM for this process. A value that this kernel does not report is missing (Long.MIN_VALUE)")
    static final class ProcessStatistics extends StatisticsEvent {

        @Label("Pages Known")
        @Description(CounterText.PROCESS_RMAP_ITEMS)
        long rmapItems;

        @Label("Pages Merged")
        @Description(CounterText.PROCESS_MERGING_PAGES)
        long mergingPages;

        @Label("Zero Pages")
        @Description(CounterText.PROCESS_ZERO_PAGES)
        long zeroPages;

        @Label("Merged Size")
        @Description(CounterText.PROCESS_MERGED_BYTES)
        @DataAmount
        long mergedBytes;

        @Label("Profit by the Kernel")
        @Description(CounterText.PROCESS_PROFIT)
        @DataAmount
        long processProfit;

        @Label("Profit")
        @Description(CounterText.PROCESS_PROFIT_BYTES)
        @DataAmount
        long profitBytes;

        static void emit() {
            ProcessStatistics event = new ProcessStatistics();
            ProcessKsmStats stats = ProcessKsmStats.read();
            event.rmapItems = stats.rmapItems().orElse(MISSING);
            event.mergingPages = stats.mergingPages().orElse(MISSING);
            event.zeroPages = stats.zeroPages().orElse(MISSING);
            event.mergedBytes = stats.mergedBytes().orElse(MISSING);
            event.processProfit = stats.processProfit().orElse(MISSING);
            event.profitBytes = stats.profitBytes().orElse(MISSING);
            event.commit();
        }
    }

    @Name("io.ksm4j.RegistryStatistics")
    @Label("KSM Registry Statistics")
    @Description("Memory that ksm4j has marked in this JVM")
    static final class RegistryStatistics extends StatisticsEvent {

        @Label("Open Regions")
        long openRegions;

        @Label("Mergeable Size")
        @DataAmount
        long mergeableBytes;

        @Label("Leaks")
        @Description(
                "Regions that became unreachable before they were closed, since the JVM started; all were reclaimed")
        long leaks;

        static void emit(RegionTable table) {
            RegistryStatistics event = new RegistryStatistics();
            event.openRegions = table.openRegions();
            event.mergeableBytes = table.mergeableBytes.get();
            event.leaks = table.leaks.get();
            event.commit();
        }
    }
}
