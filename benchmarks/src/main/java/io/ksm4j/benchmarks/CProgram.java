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
 * A C program that was compiled on the spot, and answers commands while Java measures the same beside it. Its source is a resource
 * of this package, and includes {@code commands.h} from there. Not for use by several threads.
 */
final class CProgram implements AutoCloseable {

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

    static boolean isCompilerThere() {
        return compilers(System.getenv("PATH")).findFirst().isPresent();
    }

    /**
     * Compiles with {@code -O2} and starts it.
     *
     * @throws IllegalStateException if there is no compiler, or the source does not compile; the message is the compiler's
     */
    static CProgram start(String source, String... arguments) throws IOException, InterruptedException {
        Path compiler = compiler(System.getenv("PATH"));
        Path folder = Files.createTempDirectory("ksm4j-c");
        Path program = folder.resolve(source.replaceFirst("\\.c$", ""));
        try {
            copy(HEADER, folder);
            copy(source, folder);
            compile(compiler, folder.resolve(source), program);
            List<String> command = new ArrayList<>(List.of(program.toString()));
            command.addAll(List.of(arguments));
            return new CProgram(ChildProcess.start(new ProcessBuilder(command).redirectErrorStream(true)));
        } finally {
            // What runs doesn't need its file.
            for (Path file : List.of(folder.resolve(HEADER), folder.resolve(source), program, folder)) {
                Files.deleteIfExists(file);
            }
        }
    }

    static Path compiler(String searchPath) {
        return compilers(searchPath)
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("a C compiler is needed to compare with C: none of "
                        + COMPILERS + " is on the PATH (Debian's package is gcc)"));
    }

    private static Stream<Path> compilers(String searchPath) {
        return COMPILERS.stream()
                .flatMap(name -> Stream.of(searchPath.split(":", -1)).map(folder -> Path.of(folder, name)))
                .filter(file -> Files.isRegularFile(file) && Files.isExecutable(file));
    }

    private static void copy(String resource, Path folder) throws IOException {
        try (InputStream stream = CProgram.class.getResourceAsStream(resource)) {
            if (stream == null) {
                throw new IllegalArgumentException("there is no resource " + resource);
            }
            Files.copy(stream, folder.resolve(resource));
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
     * Has a command of the program run.
     *
     * @return the nanoseconds that the program says it took
     * @throws IllegalStateException if it says something else, or has ended
     */
    long run(String name, long count) throws IOException {
        String command = "run " + name + " " + count;
        String answer = ask(command);
        if (!answer.matches("\\d{1,18}")) {
            throw new IllegalStateException(child + " answers " + command + ": " + answer);
        }
        return Long.parseLong(answer);
    }

    /**
     * Sends a line.
     *
     * @return the line it answers
     * @throws IllegalStateException if the program has ended
     */
    String ask(String line) throws IOException {
        String answer;
        try {
            commands.write(line + "\n");
            commands.flush();
            answer = answers.readLine();
        } catch (IOException e) {
            throw new IllegalStateException(child + " has ended before " + line, e);
        }
        if (answer == null) {
            throw new IllegalStateException(child + " has ended at " + line);
        }
        return answer;
    }

    /** Ends it. */
    @Override
    public void close() {
        child.close();
    }
}
