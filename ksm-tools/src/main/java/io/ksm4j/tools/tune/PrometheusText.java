// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.tune;

import io.ksm4j.stats.KsmCounter;
import io.ksm4j.stats.KsmCounter.Metric;
import io.ksm4j.stats.KsmStats;

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
        String family = "";
        for (KsmCounter counter : KsmCounter.values()) {
            Metric metric = counter.metric().orElse(null);
            if (metric == null) {
                continue;
            }
            String name = name(counter, metric);
            // The table lists the numbers of one metric one after the other, as the format demands.
            if (!name.equals(family)) {
                family = name;
                String type = counter.kind() == KsmCounter.Kind.COUNTER ? "counter" : "gauge";
                text.append("# HELP ")
                        .append(name)
                        .append(' ')
                        .append(metric.description())
                        .append('\n');
                text.append("# TYPE ").append(name).append(' ').append(type).append('\n');
            }
            counter.value(machine).ifPresent(value -> {
                text.append(name);
                if (!metric.tagKey().isEmpty()) {
                    text.append('{')
                            .append(metric.tagKey())
                            .append("=\"")
                            .append(metric.tagValue())
                            .append("\"}");
                }
                text.append(' ').append(number(counter, value)).append('\n');
            });
        }
    }

    /** Returns the name that Micrometer's Prometheus registry makes of the name and the unit. */
    private static String name(KsmCounter counter, Metric metric) {
        String unit = counter.unit().equals("ms") ? "seconds" : counter.unit();
        String name = metric.name().replace('.', '_');
        boolean endsWithUnit = counter == KsmCounter.RUN || name.endsWith("_" + unit);
        return name + (endsWithUnit ? "" : "_" + unit) + (counter.kind() == KsmCounter.Kind.COUNTER ? "_total" : "");
    }

    private static String number(KsmCounter counter, Number value) {
        if (counter.unit().equals("ms")) {
            return Double.toString(value.longValue() / 1000.0);
        }
        return value.doubleValue() == Double.POSITIVE_INFINITY ? "+Inf" : value.toString();
    }
}
