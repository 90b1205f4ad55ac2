// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.Needed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Prometheus itself raises each alert in the state that it is for, and only then. */
@Tag("long")
class AlertRulesTest {

    private static final Path RULES =
            Path.of("..", "ksm-tools/src/main/dist/prometheus/ksm4j-rules.yaml").toAbsolutePath();
    private static final Path CASES = Path.of("src/test/resources/prometheus/ksm4j-rules-test.yaml");

    @TempDir
    private Path directory = Path.of("");

    @BeforeEach
    void requirePromtool() {
        Needed.program("promtool", "prometheus");
    }

    private EndedProcess test(String rules) throws IOException {
        Files.writeString(directory.resolve(RULES.getFileName()), rules);
        Path cases = Files.copy(CASES, directory.resolve("cases.yaml"));
        return EndedProcess.run(List.of("promtool", "test", "rules", cases.toString()));
    }

    private static Set<String> names(String pattern, Path file) throws IOException {
        return Pattern.compile(pattern)
                .matcher(Files.readString(file))
                .results()
                .map(name -> name.group(1))
                .collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void eachAlertIsRaisedWhenItShouldBe() throws IOException {
        EndedProcess tested = test(Files.readString(RULES));

        assertThat(tested.exitStatus()).as(tested.output() + tested.errors()).isZero();
        assertThat(names("alertname=\"(\\w+)\"", CASES)).isNotEmpty().isEqualTo(names("alert: (\\w+)", RULES));
    }

    @ParameterizedTest
    @CsvSource({
        "ksm_kernel_profit_bytes < 0, ksm_kernel_profit_bytes > 0",
        "for: 2h, for: 3h",
        "ksm_kernel_run != 1, ksm_kernel_run == 1",
        "'ignoring (cause, state)', 'ignoring (cause)'",
        "0.9, 0.8",
    })
    void aWrongRuleIsFound(String right, String wrong) throws IOException {
        String rules = Files.readString(RULES);
        assertThat(rules).contains(right);

        assertThat(test(rules.replace(right, wrong)).exitStatus()).isNotZero();
    }
}
