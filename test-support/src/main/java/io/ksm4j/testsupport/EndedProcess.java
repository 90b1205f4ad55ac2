// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import static io.ksm4j.testsupport.Patience.PATIENCE;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * A process that was started by a test and has ended.
 *
 * @param exitStatus its exit status; 128 and more for a signal
 * @param output what it wrote to standard output
 * @param errors what it wrote to standard error
 */
public record EndedProcess(int exitStatus, String output, String errors) {

    /** Runs a command to its end, with an empty standard input. */
    public static EndedProcess run(List<String> command) {
        try {
            Path errors = Directories.createFile("errors");
            try {
                Process process = new ProcessBuilder(command)
                        .redirectInput(new File("/dev/null"))
                        .redirectError(errors.toFile())
                        .start();
                try {
                    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                    if (!process.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
                        throw new AssertionError("has not ended: " + command);
                    }
                    return new EndedProcess(process.exitValue(), output, Files.readString(errors));
                } finally {
                    process.destroyForcibly();
                }
            } finally {
                Files.delete(errors);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }
}
