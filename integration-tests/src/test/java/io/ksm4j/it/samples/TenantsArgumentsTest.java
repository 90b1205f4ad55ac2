// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.samples;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.samples.tenants.Tenants;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Arguments that the sample refuses before it starts anything. */
@Aside
class TenantsArgumentsTest {

    @TempDir
    private Path directory;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--tenants 1",
                "--tenants 65",
                "--tenants many",
                "--size 0",
                "--size 2g",
                "--size 8x",
                "--size 99999999999999999999",
                "--interval -1",
                "--limit 0",
                "--nonsense",
                "one two"
            })
    void badArgumentsAreRefusedWithTheUsage(String arguments) throws IOException {
        ChildJvm child = run(arguments.split(" ", -1));

        assertThat(child.exitStatus()).as(child.output()).isEqualTo(2);
        assertThat(child.output()).contains("Usage: tenants");
    }

    @Test
    void aFileThatCannotBeLoadedIsReportedInOneLine() throws IOException {
        Path small = Files.writeString(directory.resolve("small"), "too little");
        for (Path file : List.of(directory.resolve("missing"), directory, small, Path.of("/dev/zero"))) {
            ChildJvm child = run(file.toString());

            assertThat(child.exitStatus()).as(child.output()).isEqualTo(1);
            assertThat(child.output().lines()).singleElement().asString().endsWith(" " + file);
        }
    }

    @Test
    void aMissingDirectoryIsReportedImmediately() {
        ChildJvm child = run("--svg", directory.resolve("missing/plot.svg").toString());

        assertThat(child.exitStatus()).as(child.output()).isEqualTo(1);
        assertThat(child.output())
                .isEqualTo("tenants: no such directory for the plot: " + directory.resolve("missing") + "\n");
    }

    private static ChildJvm run(String... arguments) {
        return ChildJvm.run(Tenants.class, List.of(), arguments);
    }
}
