// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.stats.KsmCounter.Kind;
import io.ksm4j.stats.KsmCounter.Metric;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The table of the kernel's numbers agrees with {@link KsmStats}, its documentation, and its MBean. */
class KsmCounterTest {

    private static final Path KERNELS = Path.of("src/test/resources/kernels");
    private static final Pattern SINCE = Pattern.compile("Since Linux (\\d+\\.[\\d.]*\\d)");

    /** Returns the name of the accessor in {@link KsmStats}, such as {@code pagesShared} for {@code PAGES_SHARED}. */
    private static String accessor(KsmCounter counter) {
        return switch (counter) {
            case FULL_SCAN_MILLIS -> "fullScanTime";
            default -> {
                StringBuilder name = new StringBuilder(counter.name().toLowerCase(java.util.Locale.ROOT));
                for (int at = name.indexOf("_"); at >= 0; at = name.indexOf("_")) {
                    name.deleteCharAt(at).setCharAt(at, Character.toUpperCase(name.charAt(at)));
                }
                yield name.toString();
            }
        };
    }

    @ParameterizedTest
    @EnumSource
    void theValueIsThatOfTheAccessor(KsmCounter counter) throws Exception {
        Method accessor = KsmStats.class.getMethod(accessor(counter));
        for (String kernel : List.of("2.6.32", "6.18")) {
            KsmStats stats = KsmStats.read(KERNELS.resolve(kernel), 4096);
            Object expected = accessor.invoke(stats);
            Optional<Number> value = counter.value(stats);
            if (expected instanceof OptionalLong number) {
                assertThat(value.map(Number::longValue).map(OptionalLong::of).orElse(OptionalLong.empty()))
                        .isEqualTo(number);
            } else if (expected instanceof OptionalDouble ratio) {
                assertThat(value.map(Number::doubleValue)
                                .map(OptionalDouble::of)
                                .orElse(OptionalDouble.empty()))
                        .isEqualTo(ratio);
            } else {
                assertThat(value.map(millis -> (Object) Duration.ofMillis(millis.longValue())))
                        .isEqualTo(expected);
            }
        }
    }

    @Test
    void theTableHasEveryNumber() {
        Set<String> accessors =
                Arrays.stream(KsmCounter.values()).map(KsmCounterTest::accessor).collect(Collectors.toSet());
        assertThat(Arrays.stream(KsmStats.class.getMethods())
                        .filter(method -> method.getParameterCount() == 0)
                        .filter(method -> method.getReturnType() == OptionalLong.class
                                || method.getReturnType() == OptionalDouble.class)
                        .map(Method::getName))
                .isSubsetOf(accessors)
                .hasSize(accessors.size() - 1);
    }

    @ParameterizedTest
    @EnumSource
    void theJavadocNamesTheSameKernelAndFile(KsmCounter counter) throws IOException {
        String source = Files.readString(Path.of("src/main/java/io/ksm4j/stats/KsmStats.java"));
        int method = source.indexOf(" " + accessor(counter) + "() {");
        String javadoc =
                source.substring(source.lastIndexOf("/**", method), method).replaceAll("\\s+\\*?\\s*", " ");
        Matcher since = SINCE.matcher(javadoc);
        if (counter.file().isPresent()) {
            assertThat(javadoc).contains("Returns {@code " + counter.file().get() + "}");
            assertThat(since.find() ? since.group(1) : "2.6.32").isEqualTo(counter.since());
        } else {
            assertThat(since.find()).isFalse();
        }
    }

    @ParameterizedTest
    @EnumSource
    void theMBeanHasTheSameUnitAndDescription(KsmCounter counter) throws Exception {
        String name = counter == KsmCounter.FULL_SCAN_MILLIS ? "fullScanMillis" : accessor(counter);
        Meaning meaning = KsmStatsMXBean.class
                .getMethod("get" + Character.toUpperCase(name.charAt(0)) + name.substring(1))
                .getAnnotation(Meaning.class);
        assertThat(meaning.units()).isEqualTo(counter.unit());
        assertThat(meaning.value()).isEqualTo(counter.description()).doesNotEndWith(".");
    }

    @Test
    void metricsOfOneNameFollowEachOtherAndDifferInTheirTags() {
        List<Metric> metrics = Arrays.stream(KsmCounter.values())
                .flatMap(counter -> counter.metric().stream())
                .toList();
        assertThat(metrics).doesNotHaveDuplicates();
        Set<String> ended = new HashSet<>();
        for (int i = 1; i < metrics.size(); i++) {
            Metric before = metrics.get(i - 1);
            Metric metric = metrics.get(i);
            if (metric.name().equals(before.name())) {
                assertThat(metric.description()).isEqualTo(before.description());
                assertThat(metric.tagKey()).isEqualTo(before.tagKey()).isNotEmpty();
            } else {
                assertThat(ended.add(before.name())).isTrue();
            }
            assertThat(ended).doesNotContain(metric.name());
        }
    }

    @Test
    void settingsAreNoCounters() {
        assertThat(KsmCounter.valueOf("RUN").kind()).isEqualTo(Kind.SETTING);
        assertThat(KsmCounter.COW_KSM.kind()).isEqualTo(Kind.COUNTER);
        assertThat(KsmCounter.PAGES_SHARED.kind()).isEqualTo(Kind.GAUGE);
    }
}
