// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A C program that runs the same measurements as Java and takes commands through its standard input. It is compiled
 * when it is started. Its source is a resource of this package and includes {@code commands.h} from the same place. Not
 * thread-safe.
 */
public final class CProgram implements AutoCloseable {

    private static final List<String> COMPILERS = List.of("cc", "gcc", "clang");
    private static final String HEADER = "commands.h";

    private final ChildProcess child;
    private final BufferedWriter commands;
    private final BufferedReader answers;

    private CProgram(ChildProcess child) {
        this.child = child;
        this.commands = child.process().outputWriter(StandardCharsets.UTF_8);
        this.answers = child.process().inputReader(StandardCharsets.UTF_8);
    }

    public static boolean isCompilerInstalled() {
        return compilers(System.getenv("PATH")).findFirst().isPresent();
    }

    /**
     * Compiles the program with {@code -O2} and starts it.
     *
     * @throws IllegalStateException if there is no compiler, or if the source does not compile; then the message
     *     contains the compiler's output
     */
    public static CProgram start(String source, String... arguments) throws IOException, InterruptedException {
        Path compiler = compiler(System.getenv("PATH"));
        Path directory = Files.createTempDirectory("ksm4j-c");
        Path program = directory.resolve(source.replaceFirst("\\.c$", ""));
        try {
            copy(HEADER, directory);
            copy(source, directory);
            compile(compiler, directory.resolve(source), program);
            List<String> command = new ArrayList<>(List.of(program.toString()));
            command.addAll(List.of(arguments));
            return new CProgram(ChildProcess.start(new ProcessBuilder(command).redirectErrorStream(true)));
        } finally {
            // A running program does not need its file.
            for (Path file : List.of(directory.resolve(HEADER), directory.resolve(source), program, directory)) {
                Files.deleteIfExists(file);
            }
        }
    }

    static Path compiler(String searchPath) {
        return compilers(searchPath)
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("the comparison with C needs a C compiler: none of "
                        + COMPILERS + " is on the PATH (the Debian package is gcc)"));
    }

    private static Stream<Path> compilers(String searchPath) {
        return COMPILERS.stream()
                .flatMap(name -> Stream.of(searchPath.split(":", -1)).map(directory -> Path.of(directory, name)))
                .filter(file -> Files.isRegularFile(file) && Files.isExecutable(file));
    }

    private static void copy(String resource, Path directory) throws IOException {
        try (InputStream stream = CProgram.class.getResourceAsStream(resource)) {
            if (stream == null) {
                throw new IllegalArgumentException("no such resource: " + resource);
            }
            Files.copy(stream, directory.resolve(resource));
        }
    }

    private static void compile(Path compiler, Path source, Path program) throws IOException, InterruptedException {
        List<String> command =
                List.of(compiler.toString(), "-O2", "-Wall", "-Wextra", "-pthread", "-o", "" + program, "" + source);
        try (ChildProcess child = ChildProcess.start(new ProcessBuilder(command).redirectErrorStream(true))) {
            String output = new String(child.process().getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (child.process().waitFor() != 0) {
                throw new IllegalStateException(child + " failed:\n" + output);
            }
        }
    }

    /**
     * Runs a command of the program.
     *
     * @return the nanoseconds that the command took, as measured by the program
     * @throws IllegalStateException if the program does not answer with a number, or has ended
     */
    public long run(String name, long count) throws IOException {
        String command = "run " + name + " " + count;
        String answer = ask(command);
        if (!answer.matches("\\d{1,18}")) {
            throw new IllegalStateException(child + " answered " + command + ": " + answer);
        }
        return Long.parseLong(answer);
    }

    /**
     * Sends a line.
     *
     * @return the line that the program answers
     * @throws IllegalStateException if the program has ended
     */
    public String ask(String line) throws IOException {
        String answer;
        try {
            commands.write(line + "\n");
            commands.flush();
            answer = answers.readLine();
        } catch (IOException e) {
            throw new IllegalStateException(child + " has ended before the command " + line, e);
        }
        if (answer == null) {
            throw new IllegalStateException(child + " has ended without an answer to " + line);
        }
        return answer;
    }

    /** Ends the program. */
    @Override
    public void close() {
        child.close();
    }
}
