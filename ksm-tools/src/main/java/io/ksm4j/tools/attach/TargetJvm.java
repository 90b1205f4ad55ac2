// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.attach;

import com.sun.tools.attach.AgentInitializationException;
import com.sun.tools.attach.AgentLoadException;
import com.sun.tools.attach.AttachNotSupportedException;
import com.sun.tools.attach.VirtualMachine;
import io.ksm4j.tools.linux.ProcessStatus;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.status.Processes;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * A JVM to load the agent into. Checks that a process is a JVM before it sends anything to it: attaching sends a
 * signal, which terminates programs that do not expect it.
 */
final class TargetJvm {

    private static final int SIGQUIT = 3;

    /** The oldest Java version that the agent runs on. */
    private static final int MIN_JAVA_VERSION = 17;

    /** The JDK itself waits half as long for a JVM that has never been attached to. */
    private static final Duration ATTACH_TIMEOUT = Duration.ofSeconds(20);

    private static final String START_WITH_AGENT = "start it with -javaagent:ksm-agent.jar";

    private record Listening(VirtualMachine jvm, Properties properties) {}

    private final long pid;

    private TargetJvm(long pid) {
        this.pid = pid;
    }

    /**
     * Checks that a JVM can be attached to, as far as that is visible from outside.
     *
     * @throws CommandFailedException if it cannot
     */
    static TargetJvm attach(long pid) {
        if (ModuleLayer.boot().findModule("jdk.attach").isEmpty()) {
            throw new CommandFailedException("the Java that runs ksm, " + System.getProperty("java.home")
                    + ", cannot attach: run ksm with a JDK, which has the module jdk.attach");
        }
        try {
            requireSameUser(pid);
            requireJvm(pid);
            requirePlaceForSocket(pid);
        } catch (IOException | UncheckedIOException e) {
            throw unreadable(pid, e);
        }
        return new TargetJvm(pid);
    }

    private static CommandFailedException unreadable(long pid, Exception e) {
        if (!Files.isDirectory(Path.of("/proc", Long.toString(pid)))) {
            return new CommandFailedException("process " + pid + " has ended", e);
        }
        String problem =
                "cannot find out whether process " + pid + " is a JVM, because " + e.getMessage() + " cannot be read: ";
        return new CommandFailedException(
                problem
                        + (isRoot()
                                ? "root has no permission either, as in a container without CAP_SYS_PTRACE: run it"
                                        + " outside"
                                : "run as its user or as root"),
                e);
    }

    private static boolean isRoot() {
        try {
            return effectiveUser("self") == 0;
        } catch (IOException e) {
            return false;
        }
    }

    private static void requireSameUser(long pid) throws IOException {
        long mine = effectiveUser("self");
        long its = effectiveUser(Long.toString(pid));
        if (mine != 0 && mine != its) {
            throw new CommandFailedException("process " + pid + " belongs to the user with the ID " + its
                    + ": run ksm as that user, or as root");
        }
    }

    private static long effectiveUser(String process) throws IOException {
        return Long.parseLong(status(process).field("Uid").split("\\s+", -1)[1]);
    }

    private static void requireJvm(long pid) throws IOException {
        String process = Long.toString(pid);
        ProcessStatus status = status(process);
        String leader = status.field("Tgid");
        if (!leader.equals(process)) {
            throw new CommandFailedException(process + " is a thread: specify its process, " + leader);
        }
        String state = status.field("State");
        Path files = Processes.directory(pid);
        boolean firstThreadHasEnded = status.hasEnded();
        if (firstThreadHasEnded && files.equals(Path.of("/proc", process))) {
            throw new CommandFailedException("process " + pid + " has ended");
        }
        if (!read(files.resolve("maps")).contains("/libjvm.so")) {
            throw new CommandFailedException("process " + pid + " is not a JVM: for other programs, use ksm run");
        }
        if (firstThreadHasEnded) {
            throw new CommandFailedException(
                    "JVM " + pid + " cannot be attached to, because its first thread has ended, and with it /proc/"
                            + pid + "/root: " + START_WITH_AGENT);
        }
        if (state.startsWith("T") || state.startsWith("t")) {
            throw new CommandFailedException("JVM " + pid + " is stopped: continue it with kill -CONT " + pid);
        }
        if (!Files.readSymbolicLink(Path.of("/proc", process, "ns", "user"))
                .equals(Files.readSymbolicLink(Path.of("/proc/self/ns/user")))) {
            throw new CommandFailedException(
                    "JVM " + pid + " runs in a container with its own user namespace and does not trust other users:"
                            + " run ksm in that container");
        }
        if ((status.signals("SigCgt") & (1L << (SIGQUIT - 1))) == 0) {
            throw new CommandFailedException(
                    "JVM " + pid + " does not listen: it is still starting, or runs with -Xrs; " + START_WITH_AGENT);
        }
        if (List.of(read(files.resolve("cmdline")).split("\0", -1)).contains("-XX:+DisableAttachMechanism")) {
            throw new CommandFailedException(
                    "JVM " + pid + " runs with -XX:+DisableAttachMechanism: " + START_WITH_AGENT);
        }
    }

    private static ProcessStatus status(String process) throws IOException {
        return ProcessStatus.read(Path.of("/proc", process));
    }

    /** Reads a file of names or arguments, which may contain any bytes. */
    private static String read(Path file) throws IOException {
        return Files.readString(file, StandardCharsets.ISO_8859_1);
    }

    /** On the signal, the JVM creates its socket in {@code /tmp}, regardless of its own temporary directory. */
    private static void requirePlaceForSocket(long pid) throws IOException {
        Path directory = Path.of("/proc", Long.toString(pid), "root", "tmp");
        // The last number is the PID in the JVM's own container.
        String number = status(Long.toString(pid)).field("NSpid").replaceFirst("^.*\\s", "");
        boolean listens = Files.exists(directory.resolve(".java_pid" + number));
        if (!listens && !Files.isWritable(directory)) {
            throw new CommandFailedException("JVM " + pid + " cannot be attached to, because "
                    + (Files.isDirectory(directory) ? "its /tmp is read-only" : "it has no /tmp")
                    + ", where it would listen: " + START_WITH_AGENT);
        }
    }

    /**
     * Runs the agent in the JVM. A frozen JVM never reacts, so this waits at most {@link #ATTACH_TIMEOUT} for it to
     * attach. The duration of the agent itself depends on how much memory is merged.
     *
     * @return the agent's answer
     * @throws CommandFailedException if that failed
     */
    Properties tell(String options) {
        Listening target = within(ATTACH_TIMEOUT, pid, this::listen);
        try (AgentDirectory directory = AgentDirectory.create(pid, target.properties)) {
            target.jvm.loadAgent(
                    directory.jarAsSeenFromInside(), options + ",answer=" + directory.answerAsSeenFromInside());
            return directory.readAnswer();
        } catch (AgentLoadException e) {
            throw failure(
                    pid,
                    "does not accept the agent (" + e.getMessage()
                            + "): does it run with -XX:-EnableDynamicAgentLoading? " + START_WITH_AGENT,
                    e);
        } catch (AgentInitializationException e) {
            throw failure(pid, "failed in the agent (" + e.getMessage() + "): see its standard error", e);
        } catch (IOException e) {
            throw failure(pid, "cannot be called: " + e, e);
        } finally {
            try {
                target.jvm.detach();
            } catch (IOException e) {
                // Nothing to detach from.
            }
        }
    }

    private Listening listen() {
        try {
            VirtualMachine jvm = VirtualMachine.attach(Long.toString(pid));
            Properties properties = jvm.getSystemProperties();
            requireVersion(properties.getProperty("java.specification.version", "unknown"));
            return new Listening(jvm, properties);
        } catch (AttachNotSupportedException | IOException e) {
            throw failure(
                    pid,
                    "cannot be attached to (" + e.getMessage()
                            + "): does it run with -XX:+DisableAttachMechanism, or in another user's container?",
                    e);
        }
    }

    /**
     * Runs an action in a thread of its own, which continues if it takes too long.
     *
     * @throws CommandFailedException if it takes longer than the timeout
     */
    static <T> T within(Duration patience, long pid, Supplier<T> action) {
        FutureTask<T> task = new FutureTask<>(action::get);
        Thread thread = new Thread(task, "ksm-attach");
        thread.setDaemon(true);
        thread.start();
        try {
            return task.get(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw failure(pid, "did not answer within " + patience.toSeconds() + " s: is it frozen?", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof CommandFailedException failed) {
                throw failed;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    private void requireVersion(String version) {
        if (!version.matches("[0-9]{2,9}") || Integer.parseInt(version) < MIN_JAVA_VERSION) {
            throw new CommandFailedException(
                    "JVM " + pid + " is Java " + version + ": the agent needs " + MIN_JAVA_VERSION + " or later");
        }
    }

    private static CommandFailedException failure(long pid, String problem, Exception cause) {
        return Files.isDirectory(Path.of("/proc", Long.toString(pid)))
                ? new CommandFailedException("JVM " + pid + " " + problem, cause)
                : new CommandFailedException("process " + pid + " has ended", cause);
    }
}
