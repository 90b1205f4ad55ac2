// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.release;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** No line has more columns than {@code .editorconfig} allows. */
@Aside
class LongLinesTest {

    private static final String COLUMNS_120 = "x".repeat(117) + "\u00e9yz";

    @Test
    void noLineIsTooLong() throws Exception {
        Script script = Script.run(Map.of(), Path.of("../libexec/long-lines").toAbsolutePath());

        assertThat(script.exitStatus()).as(script.output()).isZero();
    }

    @Test
    void linesThatAreTooLongAreListed(@TempDir Path tree) throws Exception {
        Files.writeString(tree.resolve("A.java"), "//\n// " + COLUMNS_120 + "\n");
        Files.writeString(tree.resolve("a.md"), COLUMNS_120 + "\n" + COLUMNS_120 + ".\n");
        Files.writeString(tree.resolve("a.xml"), "<!--" + COLUMNS_120 + "-->\n");
        Files.writeString(tree.resolve("script"), "#!/bin/sh\n# " + COLUMNS_120 + "\n");
        Files.writeString(tree.resolve("a.csv"), COLUMNS_120 + ".\n");

        Script script = Script.runIn(tree, "long-lines");

        assertThat(script.exitStatus()).isEqualTo(1);
        assertThat(script.output().lines())
                .containsExactlyInAnyOrder(
                        "A.java:2",
                        "a.md:2",
                        "a.xml:1",
                        "script:2",
                        "libexec/long-lines: 4 lines have more than 120 columns. Break them.");
    }

    @Test
    void tablesUrlsAndPagesThatProgramsWriteMayBeLonger(@TempDir Path tree) throws Exception {
        Files.writeString(tree.resolve("table.md"), "| " + COLUMNS_120 + " |\n");
        Files.writeString(tree.resolve("url.md"), "See [this](https://ksm4j.invalid/" + COLUMNS_120 + ").\n");
        Files.writeString(
                tree.resolve("page.md"), "<!-- From here on written by a program -->\n" + COLUMNS_120 + ".\n");

        Script script = Script.runIn(tree, "long-lines");

        assertThat(script.exitStatus()).as(script.output()).isZero();
    }
}
