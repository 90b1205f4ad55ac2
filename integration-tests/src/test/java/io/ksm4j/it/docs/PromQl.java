// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The metrics and labels in an expression of PromQL. Knows as much of the language as the dashboard and the rules use:
 * whatever looks like a name and is none of these functions and operators is a metric.
 */
record PromQl(String expression) {

    /** The labels that Prometheus, or the pod monitor, adds to all metrics. */
    static final Set<String> TARGET_LABELS = Set.of("instance", "job", "node");

    private static final Set<String> FUNCTIONS = Set.of("count", "increase", "max", "rate", "sum", "vector");
    private static final Set<String> OPERATORS = Set.of("and", "or");
    private static final Pattern GROUPING = Pattern.compile("\\b(?:by|ignoring) \\(([^)]*)\\)");
    private static final Pattern RANGE = Pattern.compile("\\[[^]]*]");
    private static final Pattern NAME = Pattern.compile("(?<![\\w$.])([a-zA-Z_:][\\w:]*)(?:\\{([^}]*)}|( *\\())?");
    private static final Pattern MATCHER = Pattern.compile("(\\w+)(=~|!~|!=|=)\"([^\"]*)\"");

    /**
     * The exported metrics, with the values of each of their labels.
     *
     * @param labels the labels by the name of the metric
     */
    record Exported(Map<String, Map<String, Set<String>>> labels) {

        private static final Pattern SAMPLE = Pattern.compile("(?m)^(\\w+)(?:\\{(.*)})? \\S+$");

        /** Reads Prometheus's text format. */
        static Exported from(String scrape) {
            Map<String, Map<String, Set<String>>> labels = new HashMap<>();
            SAMPLE.matcher(scrape).results().forEach(sample -> {
                Map<String, Set<String>> values = labels.computeIfAbsent(sample.group(1), name -> new HashMap<>());
                if (sample.group(2) != null) {
                    MATCHER.matcher(sample.group(2))
                            .results()
                            .forEach(label -> values.computeIfAbsent(label.group(1), name -> new TreeSet<>())
                                    .add(label.group(3)));
                }
            });
            return new Exported(labels);
        }
    }

    /** Returns the names of all metrics. */
    Set<String> metrics() {
        Set<String> metrics = new TreeSet<>();
        Matcher name = NAME.matcher(withoutGroupings());
        while (name.find()) {
            if (isMetric(name)) {
                metrics.add(name.group(1));
            }
        }
        return metrics;
    }

    private String withoutGroupings() {
        return RANGE.matcher(GROUPING.matcher(expression).replaceAll("")).replaceAll("");
    }

    private static boolean isMetric(Matcher name) {
        return name.group(3) == null && !OPERATORS.contains(name.group(1));
    }

    /** Returns one sentence for each name that is not exported. */
    List<String> problems(Exported exported) {
        List<String> problems = new ArrayList<>();
        Set<String> known = new TreeSet<>(TARGET_LABELS);
        Matcher name = NAME.matcher(withoutGroupings());
        while (name.find()) {
            Map<String, Set<String>> labels = exported.labels().get(name.group(1));
            if (name.group(3) != null) {
                if (!FUNCTIONS.contains(name.group(1))) {
                    problems.add("no function " + name.group(1));
                }
            } else if (isMetric(name)) {
                if (labels == null) {
                    problems.add("no metric " + name.group(1));
                } else {
                    known.addAll(labels.keySet());
                    if (name.group(2) != null) {
                        problems.addAll(wrongMatchers(name.group(1), labels, name.group(2)));
                    }
                }
            }
        }
        GROUPING.matcher(expression)
                .results()
                .flatMap(grouping -> Arrays.stream(grouping.group(1).split(", ", -1)))
                .filter(label -> !known.contains(label))
                .forEach(label -> problems.add("no label " + label));
        return problems;
    }

    private static List<String> wrongMatchers(String metric, Map<String, Set<String>> labels, String matchers) {
        List<String> problems = new ArrayList<>();
        for (String matcher : matchers.split(", ", -1)) {
            Matcher parts = MATCHER.matcher(matcher);
            if (!parts.matches()) {
                problems.add("cannot read " + matcher);
            } else if (!TARGET_LABELS.contains(parts.group(1))) {
                Set<String> values = labels.getOrDefault(parts.group(1), Set.of());
                if (!values.contains(parts.group(3))) {
                    problems.add(metric + " has no " + matcher);
                }
            }
        }
        return problems;
    }
}
