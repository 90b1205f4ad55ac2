// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.samples;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.samples.quickstart.Numbers;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The sample for the page on numbers prints correct numbers, and the page shows its output. */
class NumbersTest {

    private static final Path PAGE = Path.of("..", "docs", "reading-the-numbers.md");

    @Test
    @EnabledIfKsm(control = true)
    void thePageShowsWhatTheSamplePrints() throws IOException {
        String output = ChildJvm.run(Numbers.class, List.of("-Xmx64m"))
                .assertEndedWell()
                .output();

        assertThat(output).contains("3 copies, waited for: REACHED");
        for (String copy : List.of("copy 1", "copy 2", "copy 3")) {
            assertThat(words(output, copy)).isEqualTo(copy + " 16 16 16 10.67");
        }
        assertThat(words(output, "unique")).isEqualTo("unique 16 16 0 0");
        assertThat(words(output, "all")).isEqualTo("all 80 80 48 32");
        assertThat(words(output, "ksm_merging_pages")).isEqualTo("ksm_merging_pages 12288");

        assertThat(labels(run(Files.readString(PAGE)))).isEqualTo(labels(output));
    }

    private static String words(String output, String label) {
        return output.lines()
                .map(String::strip)
                .filter(line -> line.startsWith(label + " "))
                .findFirst()
                .orElseThrow(() -> new AssertionError("no line of " + label + " in\n" + output))
                .replaceAll(" +", " ");
    }

    /** Returns the first code block on the page. */
    private static String run(String page) {
        int start = page.indexOf("```\n3 copies");
        return page.substring(start + 4, page.indexOf("```", start + 4));
    }

    /** Returns the lines without their numbers. */
    private static List<String> labels(String output) {
        return output.lines()
                .map(line -> line.replaceAll("-?[0-9]+(\\.[0-9]+)?", "")
                        .replaceAll(" +", " ")
                        .strip())
                .filter(line -> !line.isEmpty())
                .toList();
    }
}
