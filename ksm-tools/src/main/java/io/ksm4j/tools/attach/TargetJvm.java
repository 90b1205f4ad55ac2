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
 * A JVM that the agent is handed to. That a process is one is made sure of before anything is sent to it: a signal is, and it ends
 * programs that do not expect it.
 */
final class TargetJvm {

    private static final int SIGQUIT = 3;

    /** The oldest Java that the agent runs on. */
    private static final int MIN_JAVA_VERSION = 17;

    /** The JDK waits half as long for a JVM that has never been attached to. */
    private static final Duration ATTACH_TIMEOUT = Duration.ofSeconds(20);

    private static final String START_WITH_AGENT = "start it with -javaagent:ksm-agent.jar";

    private record Listening(VirtualMachine jvm, Properties properties) {}

    private final long pid;

    private TargetJvm(long pid) {
        this.pid = pid;
    }

    /**
     * Makes sure that it can be attached to, as far as that can be seen from outside.
     *
     * @throws CommandFailedException if not
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
            return new CommandFailedException("process " + pid + " has ended meanwhile", e);
        }
        String problem =
                "cannot tell whether process " + pid + " is a JVM, since " + e.getMessage() + " cannot be read: ";
        return new CommandFailedException(
                problem
                        + (isRoot()
                                ? "root lacks the right, too, as in a container without CAP_SYS_PTRACE: ask outside of it"
                                : "ask as its user or as root"),
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
            throw new CommandFailedException("process " + pid + " belongs to the user with the id " + its
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
            throw new CommandFailedException(process + " is a thread of process " + leader + ": name that");
        }
        String state = status.field("State");
        Path files = Processes.directory(pid);
        boolean firstThreadHasEnded = status.hasEnded();
        if (firstThreadHasEnded && files.equals(Path.of("/proc", process))) {
            throw new CommandFailedException("process " + pid + " has ended");
        }
        if (!read(files.resolve("maps")).contains("/libjvm.so")) {
            throw new CommandFailedException(
                    "process " + pid + " is no JVM: ksm run opts in any program that it starts");
        }
        if (firstThreadHasEnded) {
            throw new CommandFailedException(
                    "JVM " + pid + " cannot be attached to, since its first thread has ended, and with" + " that /proc/"
                            + pid + "/root: " + START_WITH_AGENT);
        }
        if (state.startsWith("T") || state.startsWith("t")) {
            throw new CommandFailedException("JVM " + pid + " is stopped: let it go on, with kill -CONT " + pid);
        }
        if (!Files.readSymbolicLink(Path.of("/proc", process, "ns", "user"))
                .equals(Files.readSymbolicLink(Path.of("/proc/self/ns/user")))) {
            throw new CommandFailedException(
                    "JVM " + pid + " runs in a container with users of its own, and does not trust"
                            + " others: run ksm in that container");
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

    /** Names of files and arguments are bytes, and need not be text. */
    private static String read(Path file) throws IOException {
        return Files.readString(file, StandardCharsets.ISO_8859_1);
    }

    /** The JVM puts its socket there, wherever its own temporary files are, when it gets the signal. */
    private static void requirePlaceForSocket(long pid) throws IOException {
        Path directory = Path.of("/proc", Long.toString(pid), "root", "tmp");
        // The last of its numbers is the one that it has in its own container.
        String number = status(Long.toString(pid)).field("NSpid").replaceFirst("^.*\\s", "");
        boolean listens = Files.exists(directory.resolve(".java_pid" + number));
        if (!listens && !Files.isWritable(directory)) {
            throw new CommandFailedException("JVM " + pid + " cannot be attached to, since "
                    + (Files.isDirectory(directory) ? "its /tmp is read-only" : "it has no /tmp")
                    + ", where it would listen: " + START_WITH_AGENT);
        }
    }

    /**
     * Has the agent do something in it. A JVM that is frozen never takes up what it is told, so that is waited for no longer than
     * {@link #ATTACH_TIMEOUT}; how long the agent then takes depends on how much memory is merged.
     *
     * @return its answer
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
                    "does not take the agent (" + e.getMessage()
                            + "): does it run with -XX:-EnableDynamicAgentLoading? " + START_WITH_AGENT,
                    e);
        } catch (AgentInitializationException e) {
            throw failure(pid, "has failed in the agent (" + e.getMessage() + "): see its standard error", e);
        } catch (IOException e) {
            throw failure(pid, "cannot be told: " + e, e);
        } finally {
            try {
                target.jvm.detach();
            } catch (IOException e) {
                // Nothing is left to let go of.
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
                            + "): does it run with -XX:+DisableAttachMechanism, or in another container as another user?",
                    e);
        }
    }

    /**
     * Does something in a thread of its own, which is left to itself if it takes longer.
     *
     * @throws CommandFailedException if it does
     */
    static <T> T within(Duration patience, long pid, Supplier<T> action) {
        FutureTask<T> task = new FutureTask<>(action::get);
        Thread thread = new Thread(task, "ksm-attach");
        thread.setDaemon(true);
        thread.start();
        try {
            return task.get(patience.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            throw failure(pid, "has not answered in " + patience.toSeconds() + " s: is it frozen?", e);
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
                : new CommandFailedException("process " + pid + " has ended meanwhile", cause);
    }
}
