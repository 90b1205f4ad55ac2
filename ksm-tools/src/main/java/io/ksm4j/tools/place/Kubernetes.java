// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Translates a placement into parts of pod specifications that lead the scheduler of Kubernetes to a similar one. */
final class Kubernetes {

    private static final String HOST = "kubernetes.io/hostname";

    /** Scheduling takes longer with each term. */
    private static final int MAX_PARTNERS = 3;

    /** A partner with which a group shares less than this part of the most is left out. */
    private static final double MIN_SHARE = 0.1;

    private static final int MAX_WEIGHT = 100;

    private final Placement placement;
    private final String label;

    /** By group and group: how many pages they share on all hosts. */
    private final Map<Integer, Map<Integer, Double>> shared = new HashMap<>();

    /** @param label the key of the label whose value is the group */
    Kubernetes(Placement placement, String label) {
        this.placement = placement;
        this.label = label;
        placement.hosts().forEach(host -> share(host.members()));
    }

    private void share(List<Integer> members) {
        Sharing sharing = placement.task().sharing();
        List<long[]> classesOf = new ArrayList<>();
        for (int member : members) {
            long[] ofMember = new long[sharing.firstClass(member + 1) - sharing.firstClass(member)];
            for (int i = 0; i < ofMember.length; i++) {
                ofMember[i] = (long) sharing.classAt(sharing.firstClass(member) + i) << Integer.SIZE
                        | placement.task().group(member);
            }
            classesOf.add(ofMember);
        }
        // Each class, with the groups of the members that have it.
        long[] all = classesOf.stream().flatMapToLong(Arrays::stream).sorted().toArray();
        int start = 0;
        for (int end = 1; end <= all.length; end++) {
            if (end == all.length || all[end] >>> Integer.SIZE != all[start] >>> Integer.SIZE) {
                share(all, start, end, sharing.weight((int) (all[start] >>> Integer.SIZE)));
                start = end;
            }
        }
    }

    /** Adds the weight of a class for each pair of groups that have it, and for a group that has it twice. */
    private void share(long[] all, int start, int end, double weight) {
        for (int i = start; i < end; i++) {
            if (i > start && all[i] == all[i - 1]) {
                if (i == start + 1 || all[i - 2] != all[i]) {
                    add((int) all[i], (int) all[i], weight);
                }
                continue;
            }
            for (int j = start; j < i; j++) {
                if (j == start || all[j] != all[j - 1]) {
                    add((int) all[i], (int) all[j], weight);
                    add((int) all[j], (int) all[i], weight);
                }
            }
        }
    }

    private void add(int group, int other, double weight) {
        shared.computeIfAbsent(group, key -> new HashMap<>()).merge(other, weight, Double::sum);
    }

    /** Returns what to add to the pod specification of each group that has anything to add. */
    Map<String, Map<String, Object>> specifications() {
        Map<String, Map<String, Object>> specifications = new LinkedHashMap<>();
        for (int group = 0; group < placement.groups().size(); group++) {
            Map<String, Object> specification = new LinkedHashMap<>();
            List<Object> terms = terms(shared.getOrDefault(group, Map.of()));
            if (!terms.isEmpty()) {
                specification.put(
                        "affinity",
                        Map.of("podAffinity", Map.of("preferredDuringSchedulingIgnoredDuringExecution", terms)));
            }
            int max = placement.task().maxOfGroup(group);
            if (max < Integer.MAX_VALUE) {
                specification.put("topologySpreadConstraints", List.of(spread(group, max)));
            }
            if (!specification.isEmpty()) {
                specifications.put(placement.groups().get(group), specification);
            }
        }
        return specifications;
    }

    private List<Object> terms(Map<Integer, Double> partners) {
        double most = partners.values().stream()
                .mapToDouble(Double::doubleValue)
                .max()
                .orElse(0);
        return partners.entrySet().stream()
                .filter(partner -> partner.getValue() >= MIN_SHARE * most)
                .sorted(Comparator.comparingDouble((Map.Entry<Integer, Double> partner) -> -partner.getValue())
                        .thenComparing(Map.Entry::getKey))
                .limit(MAX_PARTNERS)
                .<Object>map(partner -> {
                    Map<String, Object> term = new LinkedHashMap<>();
                    term.put("labelSelector", selector(partner.getKey()));
                    term.put("topologyKey", HOST);
                    Map<String, Object> weighted = new LinkedHashMap<>();
                    weighted.put("weight", (int) Math.max(1, Math.round(MAX_WEIGHT * partner.getValue() / most)));
                    weighted.put("podAffinityTerm", term);
                    return weighted;
                })
                .toList();
    }

    private Map<String, Object> selector(int group) {
        return Map.of("matchLabels", Map.of(label, placement.groups().get(group)));
    }

    /**
     * Kubernetes limits by how much a host may exceed the one with the fewest pods, which has at most the average. So
     * no host has more than the maximum, as long as there are no more pods and no fewer hosts.
     */
    private Map<String, Object> spread(int group, int max) {
        long processes = placement.fleet().members().stream()
                .filter(member ->
                        member.sketch().group().equals(placement.groups().get(group)))
                .count();
        Map<String, Object> constraint = new LinkedHashMap<>();
        constraint.put("maxSkew", Math.max(1, max - processes / placement.task().hosts()));
        constraint.put("topologyKey", HOST);
        constraint.put("whenUnsatisfiable", "DoNotSchedule");
        constraint.put("labelSelector", selector(group));
        return constraint;
    }

    /** Returns the specifications as YAML, one document for each group. */
    String yaml() {
        StringBuilder text = new StringBuilder();
        specifications().forEach((group, specification) -> {
            text.append("---\n# For the pod template of ").append(group).append(":\nspec:\n");
            append(text, "  ", specification);
        });
        return text.toString();
    }

    private static void append(StringBuilder text, String indent, Map<?, ?> map) {
        map.forEach((key, value) -> {
            text.append(indent).append(key).append(':');
            if (value instanceof Map<?, ?> inner) {
                text.append('\n');
                append(text, indent + "  ", inner);
            } else if (value instanceof List<?> list) {
                text.append('\n');
                for (Object element : list) {
                    StringBuilder item = new StringBuilder();
                    append(item, indent + "  ", (Map<?, ?>) element);
                    // The dash takes the place of a part of the first indentation.
                    text.append(indent).append("- ").append(item.substring(indent.length() + 2));
                }
            } else {
                text.append(' ')
                        .append(value instanceof String string ? quoted(string) : value)
                        .append('\n');
            }
        });
    }

    /** A label value such as 1.0 or true would not be a string without quotes. */
    private static String quoted(String value) {
        return value.matches("[a-z]+[./-][a-z./-]*|DoNotSchedule") ? value : '"' + value + '"';
    }
}
