// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.KsmCounter;
import io.ksm4j.stats.KsmStatsMXBean;
import io.ksm4j.stats.MergeRegistryMXBean;
import io.ksm4j.stats.ProcessKsmStatsMXBean;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** {@code docs/metrics.md} lists all names, and no others. */
class MetricsPageTest {

    private static final Path ROOT = Path.of("..");
    private static final Pattern FIRST_CELL = Pattern.compile("^\\| `([^`]+)` \\|", Pattern.MULTILINE);
    private static final Pattern METER = Pattern.compile("\"(ksm[.][a-z.]+)\"");
    private static final Pattern EVENT = Pattern.compile("@Name\\(\"(io[.]ksm4j[.]\\w+)\"\\)");
    private static final Pattern FIELD =
            Pattern.compile("^ +(?:long|double|String|boolean|int) (\\w+)(?: = [^;]+)?;$", Pattern.MULTILINE);

    private static String section(String from, String to) throws IOException {
        String page = Files.readString(ROOT.resolve("docs/metrics.md")) + "\n## ";
        int start = page.indexOf(from);
        assertThat(start).as(from).isNotNegative();
        return page.substring(start, page.indexOf(to, start + from.length()));
    }

    private static Set<String> found(Pattern pattern, String text) {
        return pattern.matcher(text)
                .results()
                .map(match -> match.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void everyMeterIsListed() throws IOException {
        Path sources = ROOT.resolve("ksm-micrometer/src/main/java/io/ksm4j/micrometer");
        Set<String> meters = found(METER, Files.readString(sources.resolve("KsmMetrics.java")));
        meters.addAll(found(METER, Files.readString(sources.resolve("PoolMetrics.java"))));
        Arrays.stream(KsmCounter.values())
                .flatMap(counter -> counter.metric().stream())
                .forEach(metric -> meters.add(metric.name()));
        assertThat(found(FIRST_CELL, section("## Micrometer", "\n## ")))
                .isEqualTo(meters)
                .isNotEmpty();
    }

    @Test
    void numbersOfTheKernelAreDescribedAsInTheirTable() throws IOException {
        String meters = section("## Micrometer", "\n## ");
        String attributes = section("### `io.ksm4j:type=KsmStats`", "\n##");
        for (KsmCounter counter : KsmCounter.values()) {
            assertThat(attributes).contains(" | " + counter.unit() + " | " + counter.description() + " |\n");
            counter.metric()
                    .ifPresent(metric -> assertThat(meters)
                            .contains("| `" + metric.name() + "` | ")
                            .contains(" | " + metric.description()));
        }
    }

    @Test
    void everyAttributeIsListed() throws IOException {
        for (Class<?> bean : List.of(KsmStatsMXBean.class, ProcessKsmStatsMXBean.class, MergeRegistryMXBean.class)) {
            Set<String> attributes = Arrays.stream(bean.getMethods())
                    .map(method -> method.getName().replaceFirst("^(get|is)", ""))
                    .collect(Collectors.toCollection(TreeSet::new));
            String heading = "### `io.ksm4j:type=" + bean.getSimpleName().replace("MXBean", "") + "`";
            assertThat(found(FIRST_CELL, section(heading, "\n##"))).isEqualTo(attributes);
        }
    }

    @Test
    void everyEventIsListedWithItsFields() throws IOException {
        String section = section("## Java Flight Recorder", "\n## ");
        Set<String> events = new TreeSet<>();
        for (String module : List.of("ksm-api", "ksm-control")) {
            List<Path> sources;
            try (Stream<Path> files = Files.walk(ROOT.resolve(module).resolve("src/main/java"))) {
                sources = files.filter(file -> file.toString().endsWith("Event.java")
                                || file.toString().endsWith("Events.java"))
                        .toList();
            }
            for (Path source : sources) {
                String text = Files.readString(source);
                events.addAll(found(EVENT, text));
                if (EVENT.matcher(text).find()) {
                    List<String> fields = FIELD.matcher(text)
                            .results()
                            .map((MatchResult match) -> "`" + match.group(1) + "`")
                            .toList();
                    assertThat(section).as(source.toString()).contains(fields);
                }
            }
        }
        assertThat(found(FIRST_CELL, section)).isEqualTo(events).isNotEmpty();
    }
}
