// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.tune;

import io.ksm4j.stats.KsmStats;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * The machine's counters in the text format of Prometheus, version 0.0.4, with the names of {@code ksm-micrometer}, so
 * that one dashboard works for both. Values that the kernel does not provide are omitted.
 */
final class PrometheusText {

    private final StringBuilder text = new StringBuilder();

    private PrometheusText() {}

    static String of(KsmStats machine) {
        PrometheusText prometheus = new PrometheusText();
        prometheus.add(machine);
        return prometheus.text.toString();
    }

    private void add(KsmStats machine) {
        family("ksm_kernel_pages", "gauge", "Pages that ksmd keeps a record of");
        sample("ksm_kernel_pages{state=\"shared\"}", machine.pagesShared());
        sample("ksm_kernel_pages{state=\"sharing\"}", machine.pagesSharing());
        sample("ksm_kernel_pages{state=\"unshared\"}", machine.pagesUnshared());
        sample("ksm_kernel_pages{state=\"volatile\"}", machine.pagesVolatile());
        gauge("ksm_kernel_zero_pages", "Zero-filled pages replaced by the zero page", machine.ksmZeroPages());
        gauge("ksm_kernel_saved_bytes", "Memory that merging saves", machine.savedBytes());
        gauge("ksm_kernel_used_bytes", "Memory that merged pages occupy", machine.usedBytes());
        gauge("ksm_kernel_profit_bytes", "Memory saved, less the kernel's records", machine.profitBytes());
        gauge("ksm_kernel_sharing_ratio", "How many pages each merged page saves", machine.sharingRatio());
        gauge("ksm_kernel_wasted_ratio", "Pages scanned without effect for each page saved", machine.wastedEffort());
        gauge("ksm_kernel_volatile_ratio", "The share of pages that change too fast", machine.volatileShare());
        gauge("ksm_kernel_run", "0: ksmd is stopped, 1: running, 2: stopped, all pages unmerged", machine.run());
        gauge("ksm_kernel_scan_batch_pages", "Pages that ksmd scans before it sleeps", machine.pagesToScan());
        gauge(
                "ksm_kernel_scan_sleep_seconds",
                "How long ksmd sleeps between batches",
                seconds(machine.sleepMillisecs()));
        counter("ksm_kernel_full_scans_total", "Scans of all mergeable memory", machine.fullScans());
        counter("ksm_kernel_scanned_pages_total", "Pages that ksmd has scanned", machine.pagesScanned());
        counter("ksm_kernel_skipped_pages_total", "Pages that ksmd has skipped", machine.pagesSkipped());
        family("ksm_kernel_copied_pages_total", "counter", "Merged pages that were copied");
        sample("ksm_kernel_copied_pages_total{cause=\"write\"}", machine.cowKsm());
        sample("ksm_kernel_copied_pages_total{cause=\"swapin\"}", machine.ksmSwpinCopy());
    }

    private static OptionalDouble seconds(OptionalLong milliseconds) {
        return milliseconds.isPresent() ? OptionalDouble.of(milliseconds.getAsLong() / 1000.0) : OptionalDouble.empty();
    }

    private void gauge(String name, String help, OptionalLong value) {
        family(name, "gauge", help);
        sample(name, value);
    }

    private void gauge(String name, String help, OptionalDouble value) {
        family(name, "gauge", help);
        value.ifPresent(number -> sample(name, Double.isInfinite(number) ? "+Inf" : Double.toString(number)));
    }

    private void counter(String name, String help, OptionalLong value) {
        family(name, "counter", help);
        sample(name, value);
    }

    private void family(String name, String type, String help) {
        text.append("# HELP ").append(name).append(' ').append(help).append('\n');
        text.append("# TYPE ").append(name).append(' ').append(type).append('\n');
    }

    private void sample(String name, OptionalLong value) {
        value.ifPresent(number -> sample(name, Long.toString(number)));
    }

    private void sample(String name, String value) {
        text.append(name).append(' ').append(value).append('\n');
    }
}
