// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.measurement;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** A sample that is run as a command. Subclasses declare its options with the annotations of picocli. */
public abstract class SampleCommand implements Callable<Integer> {

    @Spec
    private CommandSpec spec;

    /** For subclasses. */
    protected SampleCommand() {}

    /**
     * Runs a sample, and ends this JVM: with the status that it returns, with 2 if the command line is invalid, or with
     * 1 and a line on standard error if it throws an exception.
     *
     * @param sample the sample
     * @param arguments the command line
     */
    protected static void runAndExit(SampleCommand sample, String... arguments) {
        System.exit(new CommandLine(sample)
                .setExecutionExceptionHandler((e, command, parsed) -> {
                    System.err.println(command.getCommandName() + ": " + e.getMessage());
                    return 1;
                })
                .execute(arguments));
    }

    /**
     * Checks an option.
     *
     * @param isValid whether it is valid
     * @param message what is valid
     * @throws ParameterException if it is not
     */
    protected final void require(boolean isValid, String message) {
        if (!isValid) {
            throw new ParameterException(spec.commandLine(), message);
        }
    }

    /**
     * Checks that a plot can be written, before anything is measured.
     *
     * @param plot the file
     * @throws IOException if its directory does not exist
     */
    protected static void requireDirectory(Path plot) throws IOException {
        Path directory = plot.toAbsolutePath().getParent();
        if (directory == null || !Files.isDirectory(directory)) {
            throw new IOException("no such directory for the plot: " + directory);
        }
    }
}
