// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.release;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Prose has none of the words of {@code libexec/wording.txt}. */
@Aside
class WordingTest {

    /** In two parts, so that the check passes over this file. */
    private static final String FOLDER = "fold" + "er";

    private static final String INSTEAD = FOLDER + " -> directory";

    @Test
    void noWordOfTheListIsUsed() throws Exception {
        Script script = Script.run(Map.of(), Path.of("../libexec/wording").toAbsolutePath());

        assertThat(script.exitStatus()).as(script.output()).isZero();
    }

    @Test
    void wordsOfTheListAreListed(@TempDir Path tree) throws Exception {
        Files.writeString(
                tree.resolve("a.md"), "A " + FOLDER.toUpperCase(Locale.ROOT) + ".\n\nPages are taken\napart.\n");
        Files.writeString(
                tree.resolve("A.java"), "/** A %1$s. */ // A %1$s.\nString a = \"a %1$s\";\n".formatted(FOLDER));
        Files.writeString(tree.resolve("script"), "#!/bin/sh\necho 'no %s'\n".formatted(FOLDER));

        Script script = Script.runIn(tree, "wording");

        assertThat(script.exitStatus()).isEqualTo(1);
        assertThat(script.output().lines())
                .containsExactlyInAnyOrder(
                        "a.md:1: " + INSTEAD,
                        "a.md:4: " + "taken" + " apart -> unmerged",
                        "A.java:1: " + INSTEAD,
                        "A.java:2: " + INSTEAD,
                        "script:2: " + INSTEAD,
                        "libexec/wording: 5 words to replace. libexec/wording.txt has the list.");
    }

    @Test
    void codeIsNotProse(@TempDir Path tree) throws Exception {
        Files.writeString(tree.resolve("a.md"), """
                The user `nobody` has [a page](folder/page.md).

                    ls folder

                ```
                folder
                ```
                """);
        Files.writeString(tree.resolve("A.java"), "Path %1$s = of(\"%1$s\"); // {@code %1$s}\n".formatted(FOLDER));

        Script script = Script.runIn(tree, "wording");

        assertThat(script.exitStatus()).as(script.output()).isZero();
    }
}
