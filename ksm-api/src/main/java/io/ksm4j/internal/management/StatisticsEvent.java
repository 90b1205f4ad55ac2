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
        @Description("State of ksmd: 0 stopped, 1 running, 2 stopped with all pages unmerged")
        long run;

        @Label("Pages to Scan")
        @Description("Number of pages that ksmd scans before it sleeps")
        long pagesToScan;

        @Label("Sleep Time")
        @Description("How long ksmd sleeps between two batches of pages")
        @Timespan(Timespan.MILLISECONDS)
        long sleepMillisecs;

        @Label("Pages Shared")
        @Description("Page frames that are shared by several pages")
        long pagesShared;

        @Label("Pages Sharing")
        @Description("Additional pages that use these page frames: the number of pages saved")
        long pagesSharing;

        @Label("Pages Unshared")
        @Description("Pages without an identical page")
        long pagesUnshared;

        @Label("Pages Volatile")
        @Description("Pages that change too fast to be merged")
        long pagesVolatile;

        @Label("Zero Pages")
        @Description("Zero-filled pages that were replaced by the kernel's zero page")
        long ksmZeroPages;

        @Label("Pages Scanned")
        @Description("Number of pages that ksmd has scanned since the machine started")
        long pagesScanned;

        @Label("Pages Skipped")
        @Description("Number of pages that smart_scan has skipped since the machine started")
        long pagesSkipped;

        @Label("Full Scans")
        @Description("Number of full scans since the machine started")
        long fullScans;

        @Label("Chains")
        @Description("Contents that need more than one page frame because of max_page_sharing")
        long stableNodeChains;

        @Label("Pages in Chains")
        @Description("Page frames of these contents")
        long stableNodeDups;

        @Label("Pages Copied on Write")
        @Description("Merged pages that were copied because of a write since the machine started")
        long cowKsm;

        @Label("Pages Copied from Swap")
        @Description("Merged pages that had to be copied when they were swapped in since the machine started")
        long ksmSwpinCopy;

        @Label("Saved Size")
        @DataAmount
        long savedBytes;

        @Label("Used Size")
        @Description("Memory that merged pages occupy")
        @DataAmount
        long usedBytes;

        @Label("Profit by the Kernel")
        @Description("general_profit (Linux 6.4 and later)")
        @DataAmount
        long generalProfit;

        @Label("Profit")
        @Description("Saved memory minus 64 bytes for each page that ksmd keeps a record of; may be negative")
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
        @Description("Pages of the process that ksmd keeps a record of")
        long rmapItems;

        @Label("Pages Merged")
        long mergingPages;

        @Label("Zero Pages")
        @Description("Zero-filled pages that were replaced by the kernel's zero page")
        long zeroPages;

        @Label("Merged Size")
        @Description("Memory that the merged pages would occupy without merging")
        @DataAmount
        long mergedBytes;

        @Label("Profit by the Kernel")
        @Description("ksm_process_profit (Linux 6.4 and later)")
        @DataAmount
        long processProfit;

        @Label("Profit")
        @Description("Merged memory minus 64 bytes for each page that ksmd keeps a record of; may be negative")
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
