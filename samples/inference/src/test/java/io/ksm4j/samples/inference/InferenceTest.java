// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

/** Arguments that the sample refuses before it starts anything. */
class InferenceTest {

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--jvms 1",
                "--jvms 65",
                "--jvms many",
                "--model-size 0",
                "--model-size 2g",
                "--model-size 8x",
                "--heap 17g",
                "--inferences 0",
                "--limit 0",
                "--nonsense",
                "one"
            })
    void badArgumentsAreRefusedWithTheUsage(String arguments) {
        StringWriter errors = new StringWriter();

        int exitStatus =
                new CommandLine(new Inference()).setErr(new PrintWriter(errors)).execute(arguments.split(" ", -1));

        assertThat(exitStatus).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(errors.toString()).contains("Usage: inference");
    }
}
