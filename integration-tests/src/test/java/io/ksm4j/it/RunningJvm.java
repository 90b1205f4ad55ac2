package io.ksm4j.it;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** Another JVM with the class path of this one, spoken to by lines. It dies with this object. */
final class RunningJvm implements AutoCloseable {

    private final Process process;
    private final BufferedReader output;

    private RunningJvm(Process process) {
        this.process = process;
        this.output = process.inputReader(StandardCharsets.UTF_8);
    }

    static RunningJvm start(Class<?> main, String... arguments) throws IOException {
        return start(List.of(), List.of("-Xmx64m"), main, arguments);
    }

    /** Has another command start it, which must become the JVM. */
    static RunningJvm start(List<String> prefix, List<String> jvmArguments, Class<?> main, String... arguments)
            throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(ChildJvm.SHORT_LIVED);
        command.addAll(jvmArguments);
        command.addAll(List.of(
                "--enable-native-access=ALL-UNNAMED",
                "-Dksm.required=" + Boolean.getBoolean("ksm.required"),
                "-cp",
                ChildJvm.classPath(),
                main.getName()));
        command.addAll(List.of(arguments));
        return start(command);
    }

    /** Runs a command that becomes a JVM. */
    static RunningJvm start(List<String> command) throws IOException {
        return new RunningJvm(new ProcessBuilder(DefaultSignals.with(command))
                .redirectErrorStream(true)
                .start());
    }

    long pid() {
        return process.pid();
    }

    /** Reads up to the line; all that came before is in the error when it never comes. */
    void awaitLine(String expected) throws IOException {
        awaitLine(expected, expected::equals);
    }

    /** Reads up to a line with this part, which it returns. */
    String awaitLineThatContains(String part) throws IOException {
        return awaitLine(part, line -> line.contains(part));
    }

    private String awaitLine(String expected, Predicate<String> isExpected) throws IOException {
        List<String> seen = new ArrayList<>();
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            if (isExpected.test(line)) {
                return line;
            }
            seen.add(line);
        }
        throw new AssertionError("the child never said \"" + expected + "\" but " + seen);
    }

    boolean hasSaidMore() throws IOException {
        return output.ready();
    }

    /** Gives a child that reads one byte at a time the next. */
    void proceed() throws IOException {
        process.getOutputStream().write('\n');
        process.getOutputStream().flush();
    }

    /** Ends its standard input, which is what children wait for. */
    int finish() throws IOException, InterruptedException {
        process.getOutputStream().close();
        return awaitExit();
    }

    /** Sends SIGTERM and leaves its standard input open, which {@code Process.destroy} would not. */
    int terminate() throws InterruptedException {
        if (!process.toHandle().destroy()) {
            throw new AssertionError("SIGTERM could not be sent");
        }
        return awaitExit();
    }

    /** Stops it, so that it changes nothing; it can still be killed. */
    void stop() throws IOException, InterruptedException {
        new ProcessBuilder("kill", "-STOP", Long.toString(pid())).start().waitFor();
        Path status = Path.of("/proc", Long.toString(pid()), "status");
        await().atMost(PATIENCE).until(() -> Files.readString(status).contains("\nState:\tT"));
    }

    int awaitExit() throws InterruptedException {
        if (!process.waitFor(PATIENCE)) {
            throw new AssertionError("the child did not exit");
        }
        return process.exitValue();
    }

    /** A JVM that is killed leaves the socket by which it was attached to, and another user's with its number cannot be attached to. */
    @Override
    public void close() {
        process.destroyForcibly();
        try {
            Files.deleteIfExists(Path.of("/tmp/.java_pid" + pid()));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
