// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CProgramTest {

    @BeforeEach
    void requireCompiler() {
        if (!Boolean.getBoolean("ksm.required")) {
            Assumptions.assumeTrue(CProgram.isCompilerInstalled(), "no C compiler");
        }
    }

    @Test
    void programAnswersSeveralCommands() throws Exception {
        try (CProgram program = CProgram.start("echo.c", "40")) {
            assertThat(program.run("add", 2)).isEqualTo(42);
            assertThat(program.run("add", 1_000_000_000_000L)).isEqualTo(1_000_000_000_040L);
            assertThatThrownBy(() -> program.run("add", -50)).hasMessageEndingWith("echo 40 answered run add -50: -10");
            assertThatThrownBy(() -> program.run("multiply", 1))
                    .hasMessageEndingWith("unknown command: run multiply 1");
            assertThat(program.ask("sing")).isEqualTo("failed: unknown command: sing");
            assertThat(program.run("add", 3)).isEqualTo(43);
        }
    }

    @Test
    void failingProgramReportsTheReason() throws Exception {
        try (CProgram program = CProgram.start("echo.c")) {
            assertThatThrownBy(() -> program.run("end", 12)).hasMessageEndingWith("end: Cannot allocate memory");
            assertThatThrownBy(() -> program.run("add", 1))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("has ended");
        }
    }

    @Test
    void compileErrorsAreReportedWithTheCompilersOutput() {
        assertThatThrownBy(() -> CProgram.start("broken.c"))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("broken.c:2:")
                .hasMessageContaining("nothing");
    }

    @Test
    void missingCompilerIsReportedWithThePackageToInstall(@TempDir Path directory) throws IOException {
        Files.createDirectory(directory.resolve("cc"));
        assertThatThrownBy(() -> CProgram.compiler("/nonexistent:" + directory))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("[cc, gcc, clang]")
                .hasMessageContaining("package is gcc");
    }
}
