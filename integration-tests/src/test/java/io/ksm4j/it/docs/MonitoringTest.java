// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ksm4j.Ksm;
import io.ksm4j.it.docs.PromQl.Exported;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.micrometer.PoolMetrics;
import io.ksm4j.pool.MergePool;
import io.ksm4j.testsupport.EndedProcess;
import io.micrometer.core.instrument.Tags;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/**
 * The dashboard for Grafana and the alerts for Prometheus use only metrics and labels that ksm4j exports, and the
 * dashboard shows all of them. {@code TuneCommandTest} checks that {@code ksm tune} exports the same names.
 */
class MonitoringTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Path DASHBOARD = ROOT.resolve("ksm-tools/src/main/dist/grafana/ksm4j.json");
    private static final Path RULES = ROOT.resolve("ksm-tools/src/main/dist/prometheus/ksm4j-rules.yaml");

    private static final Pattern JSON_STRING =
            Pattern.compile("\"(?:[^\"\\\\\\p{Cntrl}]|\\\\(?:[\"\\\\/bfnrt]|u[0-9a-fA-F]{4}))*+\"");
    private static final Pattern PAGE = Pattern.compile("(?:docs/[a-z-]+|README)\\.md(?:#[\\w-]+)?");
    private static final Pattern TEMPLATE_LABEL = Pattern.compile("\\{\\{ ?(?:\\$labels\\.)?(\\w+) ?}}");

    private static Object yaml(String text) {
        LoaderOptions options = new LoaderOptions();
        options.setAllowDuplicateKeys(false);
        return new Yaml(new SafeConstructor(options)).load(text);
    }

    /** Parses JSON as YAML, and rejects what only YAML allows. */
    private static Object json(String text) {
        String bare = JSON_STRING.matcher(text).replaceAll("0");
        assertThat(bare).matches("(?:[\\s\\[\\]{}:,0-9.-]|true|false|null)*+").doesNotContainPattern(",\\s*[\\]}]");
        return yaml(text);
    }

    private static Map<?, ?> map(Object value) {
        return (Map<?, ?>) value;
    }

    private static List<Map<?, ?>> maps(Object list) {
        List<Map<?, ?>> maps = new ArrayList<>();
        ((List<?>) list).forEach(element -> maps.add(map(element)));
        return maps;
    }

    private static String text(Map<?, ?> map, String name) {
        assertThat(map.get(name)).as("%s in %s", name, map).isInstanceOf(String.class);
        return (String) map.get(name);
    }

    private static Map<?, ?> dashboard() throws IOException {
        return map(json(Files.readString(DASHBOARD)));
    }

    private static List<Map<?, ?>> variables() throws IOException {
        return maps(map(dashboard().get("templating")).get("list"));
    }

    private static List<Map<?, ?>> panels() throws IOException {
        return maps(dashboard().get("panels")).stream()
                .filter(panel -> !text(panel, "type").equals("row"))
                .toList();
    }

    private static List<Map<?, ?>> alerts() throws IOException {
        return maps(map(yaml(Files.readString(RULES))).get("groups")).stream()
                .flatMap(group -> maps(group.get("rules")).stream())
                .toList();
    }

    private static List<Map<?, ?>> targets() throws IOException {
        return panels().stream()
                .flatMap(panel -> maps(panel.get("targets")).stream())
                .toList();
    }

    /** Returns the expressions of the panels and variables, for each label that the machines can be told apart by. */
    private static List<PromQl> expressionsOfDashboard() throws IOException {
        Map<?, ?> by = variables().stream()
                .filter(variable -> text(variable, "name").equals("by"))
                .findFirst()
                .orElseThrow();
        Stream<String> ofPanels = targets().stream().map(target -> text(target, "expr"));
        Stream<String> ofVariables = variables().stream()
                .filter(variable -> text(variable, "type").equals("query"))
                .map(variable -> text(variable, "query")
                        // The last argument is a label, and not an expression.
                        .replaceFirst("^label_values\\((.*), ([$\\w]+)\\)$", "sum by ($2) ($1)"));
        return Stream.concat(ofPanels, ofVariables)
                .flatMap(expression -> Stream.of(text(by, "query").split(",", -1))
                        .map(label -> new PromQl(expression.replace("$by", label))))
                .toList();
    }

    private static List<PromQl> expressionsOfAlerts() throws IOException {
        return alerts().stream().map(alert -> new PromQl(text(alert, "expr"))).toList();
    }

    private static Set<String> metersOfPage() throws IOException {
        return Pattern.compile("(?m)^\\| `(ksm\\.[a-z.]+)` \\|")
                .matcher(Files.readString(ROOT.resolve("docs/metrics.md")))
                .results()
                .map(meter -> meter.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** Skips the test on a kernel that does not provide all numbers. */
    private static Exported exported() throws IOException {
        Ksm ksm = Ksm.system();
        PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        new KsmMetrics(ksm).bindTo(registry);
        try (MergePool pool = MergePool.create(ksm, 1 << 20)) {
            new PoolMetrics(pool, Tags.of("pool", "prices")).bindTo(registry);
            Set<String> meters = registry.getMeters().stream()
                    .map(meter -> meter.getId().getName())
                    .collect(Collectors.toCollection(TreeSet::new));
            assumeThat(meters).as("numbers of this kernel").isEqualTo(metersOfPage());
            return Exported.from(registry.scrape());
        }
    }

    @EnabledIfKsm
    @Test
    void everyMetricAndLabelIsExported() throws IOException {
        Exported exported = exported();

        assertThat(Stream.concat(expressionsOfDashboard().stream(), expressionsOfAlerts().stream()))
                .isNotEmpty()
                .allSatisfy(
                        expression -> assertThat(expression.problems(exported)).isEmpty());
        Set<String> labels = exported.labels().values().stream()
                .flatMap(metric -> metric.keySet().stream())
                .collect(Collectors.toSet());
        labels.addAll(PromQl.TARGET_LABELS);
        assertThat(Stream.of(DASHBOARD, RULES).flatMap(MonitoringTest::labelsInText))
                .isNotEmpty()
                .isSubsetOf(labels);
    }

    private static Stream<String> labelsInText(Path file) {
        try {
            return TEMPLATE_LABEL.matcher(Files.readString(file)).results().map(label -> label.group(1));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @EnabledIfKsm
    @Test
    void theDashboardShowsEveryExportedMetric() throws IOException {
        Set<String> shown = new TreeSet<>();
        for (Map<?, ?> target : targets()) {
            shown.addAll(new PromQl(text(target, "expr").replace("$by", "node")).metrics());
        }

        assertThat(shown).isEqualTo(exported().labels().keySet());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "sum(ksm_kernel_profits_bytes) | no metric ksm_kernel_profits_bytes",
                "ksm_kernel_run{cause=\"write\"} | ksm_kernel_run has no cause=\"write\"",
                "ksm_copied_total{cause=\"writes\"} > 1 | ksm_copied_total has no cause=\"writes\"",
                "sum by (cause, pod) (rate(ksm_copied_total[5m])) | no label pod",
                "maximum(ksm_kernel_run) | no function maximum",
                "ksm_kernel_run and ksm_kernel_ran | no metric ksm_kernel_ran",
                "ksm_kernel_run{node:\"a\"} | cannot read node:\"a\"",
            })
    void aWrongNameIsFound(String expression, String problem) {
        Exported exported = Exported.from("""
                # TYPE ksm_kernel_run gauge
                ksm_kernel_run 1
                ksm_copied_total{cause="write"} 2.0E9
                ksm_copied_total{cause="swapin"} 0.0
                """);

        assertThat(new PromQl(expression).problems(exported)).containsExactly(problem);
        assertThat(new PromQl("max by (node) (rate(ksm_copied_total{cause=\"write\", node=~\"$machine\"}[1h]))"
                                + " > ignoring (cause) ksm_kernel_run or vector(0)")
                        .problems(exported))
                .isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"[1,]", "{a: 1}", "['a']", "[1] # one", "[yes]", "{\"a\": \"\\x\"}"})
    void yamlIsNoJson(String text) {
        assertThatThrownBy(() -> json(text)).isNotNull();
        assertThat(json("{\"a\": [1, -2.5, true, null, \"{$x=~\\\"y\\\"}\"]}")).isNotNull();
    }

    @Test
    void everyPanelSaysWhatAReaderConcludes() throws IOException {
        Set<Object> ids = new HashSet<>();
        assertThat(maps(dashboard().get("panels"))).allSatisfy(panel -> {
            assertThat(panel.get("id")).isInstanceOf(Integer.class);
            assertThat(ids.add(panel.get("id")))
                    .as("first panel with the id of %s", panel)
                    .isTrue();
            assertThat(text(panel, "title")).isNotBlank();
        });
        assertThat(panels()).isNotEmpty().allSatisfy(panel -> {
            assertThat(text(panel, "description")).hasSizeGreaterThan(20).endsWith(".");
            assertThat(text(map(map(panel.get("fieldConfig")).get("defaults")), "unit"))
                    .isNotBlank();
            assertThat(text(map(panel.get("datasource")), "uid")).isEqualTo("${datasource}");
            assertThat(maps(panel.get("targets")).stream().map(target -> text(target, "refId")))
                    .isNotEmpty()
                    .doesNotHaveDuplicates();
        });
        assertThat(panels().stream().map(panel -> text(panel, "title"))).doesNotHaveDuplicates();
    }

    @Test
    void panelsDoNotOverlap() throws IOException {
        Set<List<Integer>> taken = new HashSet<>();
        for (Map<?, ?> panel : maps(dashboard().get("panels"))) {
            Map<?, ?> grid = map(panel.get("gridPos"));
            int left = (Integer) grid.get("x");
            int top = (Integer) grid.get("y");
            int right = left + (Integer) grid.get("w");
            assertThat(right).as("right edge of %s", panel).isLessThanOrEqualTo(24);
            for (int x = left; x < right; x++) {
                for (int y = top; y < top + (Integer) grid.get("h"); y++) {
                    assertThat(taken.add(List.of(x, y)))
                            .as("room for %s", panel)
                            .isTrue();
                }
            }
        }
    }

    @Test
    void onlyDeclaredVariablesAreUsed() throws IOException {
        Set<String> declared = variables().stream()
                .map(variable -> text(variable, "name"))
                .collect(Collectors.toCollection(TreeSet::new));
        Set<String> used = Pattern.compile("\\$\\{?([a-z]\\w*)")
                .matcher(Files.readString(DASHBOARD))
                .results()
                .map(variable -> variable.group(1))
                .collect(Collectors.toCollection(TreeSet::new));

        assertThat(used).isEqualTo(declared).contains("datasource");
    }

    @Test
    void everyAlertSaysWhatToDo() throws IOException {
        assertThat(alerts()).isNotEmpty().allSatisfy(alert -> {
            assertThat(text(alert, "alert")).matches("Ksm[A-Za-z]+");
            assertThat(text(alert, "for")).matches("\\d+[mh]");
            assertThat(text(map(alert.get("labels")), "severity")).isIn("info", "warning", "critical");
            Map<?, ?> annotations = map(alert.get("annotations"));
            assertThat(text(annotations, "summary")).contains("{{ $labels.instance }}");
            assertThat(text(annotations, "description")).endsWith(".");
            assertThat(text(annotations, "runbook")).matches(PAGE);
        });
        assertThat(alerts().stream().map(alert -> text(alert, "alert"))).doesNotHaveDuplicates();
    }

    @Test
    void thePagesThatAreNamedExist() throws IOException {
        for (Path file : List.of(DASHBOARD, RULES)) {
            List<String> links = PAGE.matcher(Files.readString(file))
                    .results()
                    .map(MatchResult::group)
                    .toList();
            assertThat(links).as("links in %s", file).isNotEmpty().allMatch(MonitoringTest::exists);
        }
        assertThat(exists("docs/pool.md#no-such-heading")).isFalse();
        assertThat(exists("docs/no-such-page.md")).isFalse();
    }

    /** Whether the page exists and has a heading with the anchor, if there is one. */
    private static boolean exists(String link) {
        String[] parts = link.split("#", -1);
        Path page = ROOT.resolve(parts[0]);
        try {
            return Files.exists(page)
                    && (parts.length == 1
                            || Files.readAllLines(page).stream()
                                    .filter(line -> line.startsWith("#"))
                                    .map(heading -> heading.replaceFirst("^#+ ", "")
                                            .toLowerCase(Locale.ROOT)
                                            .replaceAll("[^\\w -]", "")
                                            .replace(' ', '-'))
                                    .anyMatch(parts[1]::equals));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The commands on the page turn the file into a resource of the Prometheus Operator. */
    @Test
    void theRulesBecomeAPrometheusRule() throws IOException {
        Matcher commands = Pattern.compile("(?m)^    \\(printf .*PrometheusRule.*(?:\\n    .*)+")
                .matcher(Files.readString(ROOT.resolve("docs/operations.md")));
        assertThat(commands.find()).isTrue();
        EndedProcess applied = EndedProcess.run(
                List.of("bash", "-c", "kubectl() { cat; }; cd \"$0\"; " + commands.group(), ROOT.toString()));
        assertThat(applied.exitStatus()).as(applied.errors()).isZero();

        Map<?, ?> resource = map(yaml(applied.output()));
        assertThat(text(resource, "kind")).isEqualTo("PrometheusRule");
        assertThat(resource.get("spec")).isEqualTo(yaml(Files.readString(RULES)));
    }
}
