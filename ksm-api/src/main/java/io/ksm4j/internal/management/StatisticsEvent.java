// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

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

/** Numbers that Java Flight Recorder asks for at regular intervals. One that the kernel does not tell is {@link #MISSING}. */
@Category("ksm4j")
@Period("10 s")
@StackTrace(false)
abstract class StatisticsEvent extends Event {

    /** What JFR's own tools take for a number that is not there. */
    static final long MISSING = Long.MIN_VALUE;

    @Name("io.ksm4j.KernelStatistics")
    @Label("KSM Kernel Statistics")
    @Description(
            "What merging does on the whole machine. A number that this kernel does not tell is missing (Long.MIN_VALUE)")
    static final class KernelStatistics extends StatisticsEvent {

        @Label("Run")
        @Description("What ksmd is told to do: 0 stand still, 1 merge, 2 stand still with all pages taken apart")
        long run;

        @Label("Pages to Scan")
        @Description("How many ksmd scans before it sleeps")
        long pagesToScan;

        @Label("Sleep Time")
        @Description("How long ksmd sleeps after that")
        @Timespan(Timespan.MILLISECONDS)
        long sleepMillisecs;

        @Label("Pages Shared")
        @Description("Physical pages that others share")
        long pagesShared;

        @Label("Pages Sharing")
        @Description("How many more places use them: the pages saved")
        long pagesSharing;

        @Label("Pages Unshared")
        @Description("Pages that no other equals")
        long pagesUnshared;

        @Label("Pages Volatile")
        @Description("Pages that change too fast to be looked for")
        long pagesVolatile;

        @Label("Zero Pages")
        @Description("Empty pages that have become the kernel's zero page")
        long ksmZeroPages;

        @Label("Pages Scanned")
        @Description("Since the machine started")
        long pagesScanned;

        @Label("Pages Skipped")
        @Description("By smart_scan, since the machine started")
        long pagesSkipped;

        @Label("Full Scans")
        @Description("Since the machine started")
        long fullScans;

        @Label("Chains")
        @Description("Contents that need more than one physical page, for max_page_sharing's sake")
        long stableNodeChains;

        @Label("Pages in Chains")
        @Description("The physical pages of those contents")
        long stableNodeDups;

        @Label("Pages Copied on Write")
        @Description("Merged pages that were written to, since the machine started")
        long cowKsm;

        @Label("Pages Copied from Swap")
        @Description("Merged pages that had to be copied when they came back, since the machine started")
        long ksmSwpinCopy;

        @Label("Saved Size")
        @DataAmount
        long savedBytes;

        @Label("Used Size")
        @Description("What the merged pages occupy")
        @DataAmount
        long usedBytes;

        @Label("Profit by the Kernel")
        @Description("general_profit, since Linux 6.4")
        @DataAmount
        long generalProfit;

        @Label("Profit")
        @Description("Saved less 64 bytes for each page that ksmd keeps a record of; may be less than 0")
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
    @Description(
            "What merging does for this process. A number that this kernel does not tell is missing (Long.MIN_VALUE)")
    static final class ProcessStatistics extends StatisticsEvent {

        @Label("Pages Known")
        @Description("Pages of the process that ksmd keeps a record of")
        long rmapItems;

        @Label("Pages Merged")
        long mergingPages;

        @Label("Zero Pages")
        @Description("Empty pages that have become the kernel's zero page")
        long zeroPages;

        @Label("Merged Size")
        @Description("What the merged pages would occupy alone")
        @DataAmount
        long mergedBytes;

        @Label("Profit by the Kernel")
        @Description("ksm_process_profit, since Linux 6.4")
        @DataAmount
        long processProfit;

        @Label("Profit")
        @Description("Merged less 64 bytes for each page that ksmd keeps a record of; may be less than 0")
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
    @Description("What ksm4j has marked in this JVM")
    static final class RegistryStatistics extends StatisticsEvent {

        @Label("Open Regions")
        long openRegions;

        @Label("Mergeable Size")
        @DataAmount
        long mergeableBytes;

        @Label("Leaks")
        @Description("Regions that were forgotten and reclaimed since the JVM started")
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
