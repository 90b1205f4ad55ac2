// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.testsupport.DefaultSignals;
import io.ksm4j.testsupport.Needed;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/**
 * A terminal with a shell, as a user sees it: a window of a separate tmux server. The directory of the shell has a
 * script {@code ksm}. Closing this object ends the shell and the server.
 */
final class Tmux implements AutoCloseable {

    private static final Duration POLL = Duration.ofMillis(50);

    private final Path directory;

    /** Ends the server if this JVM is interrupted, since the server is not a child of this JVM. */
    private final Thread hook = new Thread(this::kill, "end tmux");

    private Tmux(Path directory) {
        this.directory = directory;
        Runtime.getRuntime().addShutdownHook(hook);
    }

    /**
     * Opens one.
     *
     * @throws AssertionError where tmux is not installed and {@code ksm.required} is true; otherwise the test is
     *     skipped
     */
    static Tmux open(Path directory, int columns, int rows) throws IOException {
        Needed.program("tmux", "tmux");
        Path script = directory.resolve("ksm");
        Files.writeString(script, "#!/bin/sh\nexec " + String.join(" ", KsmProcess.command()) + " \"$@\"\n");
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        Tmux tmux = new Tmux(directory);
        tmux.run(
                "new-session",
                "-d",
                "-x",
                Integer.toString(columns),
                "-y",
                Integer.toString(rows),
                String.join(" ", DefaultSignals.ENV)
                        + " -u NO_COLOR LC_ALL=C.UTF-8 PS1='$ ' bash --norc --noprofile -i");
        tmux.awaitScreen(screen -> screen.contains("$"));
        return tmux;
    }

    /** The socket has a relative path, since the path of a socket cannot have more than 107 bytes, unix(7). */
    private String run(String... arguments) {
        List<String> command = new ArrayList<>(List.of("tmux", "-u", "-S", "tmux"));
        command.addAll(List.of("-f", "/dev/null"));
        command.addAll(List.of(arguments));
        try {
            ProcessBuilder builder =
                    new ProcessBuilder(command).directory(directory.toFile()).redirectErrorStream(true);
            builder.environment().remove("TMUX");
            Process process = builder.start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(process.waitFor()).as("%s: %s", command, output).isZero();
            return output;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** Types a line, and presses Enter. */
    void type(String line) {
        run("send-keys", "-l", line);
        press("Enter");
    }

    /** Presses a key, by its name in tmux. */
    void press(String key) {
        run("send-keys", key);
    }

    void resize(int columns, int rows) {
        run("resize-window", "-x", Integer.toString(columns), "-y", Integer.toString(rows));
    }

    /** Returns the text on the screen, without blanks at the ends of lines. */
    String screen() {
        return run("capture-pane", "-p");
    }

    /** Returns the screen with escape sequences. */
    String screenWithEscapes() {
        return run("capture-pane", "-p", "-e");
    }

    /** Waits until the screen meets a condition, and returns it. */
    String awaitScreen(Predicate<String> wanted) {
        return await().atMost(PATIENCE).pollInterval(POLL).until(this::screen, wanted);
    }

    String awaitText(String text) {
        return awaitScreen(screen -> screen.contains(text));
    }

    /**
     * Asserts that the shell has the terminal in its normal state again, and returns the exit status of the command.
     */
    int exitStatus() {
        await().atMost(PATIENCE)
                .pollInterval(POLL)
                .until(() ->
                        run("display-message", "-p", "#{pane_current_command}").equals("bash\n"));
        type("echo \"status [$?]\"");
        String screen = awaitScreen(seen -> seen.matches("(?s).*status \\[\\d+].*"));
        assertThat(run("display-message", "-p", "alternate #{alternate_on} cursor #{cursor_flag}"))
                .as(screen)
                .isEqualTo("alternate 0 cursor 1\n");
        return Integer.parseInt(screen.replaceAll("(?s).*status \\[(\\d+)].*", "$1"));
    }

    /** Returns the PID of the shell's foreground process. */
    long foreground() throws IOException {
        long shell = Long.parseLong(run("display-message", "-p", "#{pane_pid}").strip());
        String stat = Files.readString(Path.of("/proc/" + shell + "/stat"), StandardCharsets.ISO_8859_1);
        // tpgid, field 8 of proc_pid_stat(5).
        return Long.parseLong(stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1)[5]);
    }

    @Override
    public void close() {
        kill();
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The JVM is exiting, and the hook runs.
        }
    }

    private void kill() {
        run("kill-server");
    }
}
