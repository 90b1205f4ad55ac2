package io.ksm4j.control;

import io.ksm4j.KsmPermissionException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLockInterruptionException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * The file in which ksm4j programs of a machine tell each other which settings they have borrowed, so that the last one puts back what
 * the first one found, and the next one what a killed one left. Read and written under a lock, and replaced as a whole.
 *
 * <pre>
 * ksm4j-settings 1 BOOT
 * found run 0 1
 * lease PID START ID run=1 pages_to_scan=5000
 * end
 * </pre>
 */
final class SessionFile {

    private static final String FORMAT = "ksm4j-settings 1 ";
    private static final String LAST_LINE = "end";

    /** File locks are the whole JVM's: threads of it, also those of other class loaders, take turns by this literal. */
    private static final Object TURN = "io.ksm4j.control.SessionFile";

    private static final Set<OpenOption> LOCKING = Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE);

    /** Whoever may open a file to read can lock it, and keep everybody waiting. */
    private static final FileAttribute<?> ROOT_ALONE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    /** What somebody has borrowed, and who. Later ones count more. */
    record Lease(long pid, long start, String id, KsmSettings settings) {

        /** A process id is used again; a process id and its start are not, until the machine starts anew. */
        boolean isLive(Path proc) {
            return start >= 0 && start == startOf(proc, pid);
        }

        /** The same one, of other settings. */
        Lease of(KsmSettings others) {
            return new Lease(pid, start, id, others);
        }
    }

    /** A setting that somebody has borrowed: its value before anybody did, and the one that was written last. */
    record Found(long before, long written) {}

    /** All that the file says. */
    record State(Map<KsmSetting, Found> found, List<Lease> leases) {

        State {
            found = new EnumMap<>(found);
            leases = new ArrayList<>(leases);
        }

        static State empty() {
            return new State(new EnumMap<>(KsmSetting.class), List.of());
        }
    }

    private final Path folder;
    private final Path proc;

    SessionFile(Path folder, Path proc) {
        this.folder = folder;
        this.proc = proc;
    }

    /** In a folder that only root may write, as only root can have borrowed anything. */
    static SessionFile ofThisMachine() {
        return new SessionFile(Path.of("/run/ksm4j"), Path.of("/proc"));
    }

    /** A lease of this process, of nothing yet. */
    Lease lease(String id) {
        long pid = ProcessHandle.current().pid();
        return new Lease(pid, startOf(proc, pid), id, KsmSettings.EMPTY);
    }

    boolean isLive(Lease lease) {
        return lease.isLive(proc);
    }

    /** Whether nobody has borrowed anything. Needs no lock. */
    boolean isAbsent() {
        return !Files.exists(file());
    }

    /**
     * Does something while no other program and no other thread does. Interrupting the thread changes nothing but its status: what was
     * borrowed must be put back all the same.
     */
    <T> T locked(Function<State, T> action) {
        boolean interrupted = false;
        try {
            synchronized (TURN) {
                while (true) {
                    Files.createDirectories(folder);
                    // Nobody deletes the lock file: two programs could then hold locks on two files of the same name.
                    try (FileChannel lock = FileChannel.open(folder.resolve("lock"), LOCKING, ROOT_ALONE)) {
                        lock.lock();
                        return action.apply(read());
                    } catch (FileLockInterruptionException e) {
                        interrupted |= Thread.interrupted();
                    }
                }
            }
        } catch (AccessDeniedException e) {
            throw new KsmPermissionException("this process may not write " + folder
                    + ", where programs that change ksmd's settings leave what to put back: run it as root");
        } catch (IOException e) {
            throw new UncheckedIOException("cannot lock " + folder.resolve("lock"), e);
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private Path file() {
        return folder.resolve("settings");
    }

    private State read() throws IOException {
        if (isAbsent()) {
            return State.empty();
        }
        List<String> lines = PlainFile.read(file()).lines().toList();
        try {
            return parse(lines, FORMAT + bootId());
        } catch (RuntimeException e) {
            throw new UncheckedIOException(
                    file()
                            + " is not what this version of ksm4j writes: see whether the settings of ksmd are as you want them, and"
                            + " delete the file",
                    new IOException(String.join("\n", lines), e));
        }
    }

    private static State parse(List<String> lines, String firstLine) {
        int last = lines.size() - 1;
        if (last < 1 || !lines.get(0).startsWith(FORMAT) || !lines.get(last).equals(LAST_LINE)) {
            throw new IllegalArgumentException("the first line or the last is missing");
        }
        if (!lines.get(0).equals(firstLine)) {
            // The machine has started anew, with the settings it has at start.
            return State.empty();
        }
        State state = State.empty();
        for (String line : lines.subList(1, last)) {
            String[] words = line.split(" ", -1);
            switch (words[0]) {
                case "found" ->
                    state.found().put(setting(words[1]), new Found(Long.parseLong(words[2]), Long.parseLong(words[3])));
                case "lease" -> state.leases().add(lease(words));
                default -> throw new IllegalArgumentException("no such line: " + line);
            }
        }
        return state;
    }

    private static Lease lease(String[] words) {
        KsmSettings settings = KsmSettings.EMPTY;
        for (int i = 4; i < words.length; i++) {
            int equals = words[i].indexOf('=');
            settings = settings.with(
                    setting(words[i].substring(0, equals)), Long.parseLong(words[i].substring(equals + 1)));
        }
        return new Lease(Long.parseLong(words[1]), Long.parseLong(words[2]), words[3], settings);
    }

    private static KsmSetting setting(String file) {
        return KsmSetting.ofFile(file).orElseThrow(() -> new IllegalArgumentException("no such setting: " + file));
    }

    /** Replaces the file as a whole, so that a program that is killed leaves the old one or the new one. */
    void write(State state) {
        try {
            if (state.found().isEmpty() && state.leases().isEmpty()) {
                Files.deleteIfExists(file());
                return;
            }
            StringBuilder text = new StringBuilder(FORMAT).append(bootId()).append('\n');
            state.found()
                    .forEach((setting, found) -> text.append("found ")
                            .append(setting.file())
                            .append(' ')
                            .append(found.before())
                            .append(' ')
                            .append(found.written())
                            .append('\n'));
            for (Lease lease : state.leases()) {
                text.append("lease ")
                        .append(lease.pid())
                        .append(' ')
                        .append(lease.start())
                        .append(' ')
                        .append(lease.id());
                lease.settings()
                        .values()
                        .forEach((setting, value) -> text.append(' ')
                                .append(setting.file())
                                .append('=')
                                .append(value));
                text.append('\n');
            }
            text.append(LAST_LINE).append('\n');
            Path next = folder.resolve("settings.next");
            PlainFile.write(next, text.toString());
            Files.move(next, file(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + file(), e);
        }
    }

    private String bootId() throws IOException {
        return PlainFile.read(proc.resolve("sys/kernel/random/boot_id")).strip();
    }

    /**
     * When a process has started, in ticks since the machine has (proc_pid_stat(5)); -1 if there is no such process. One that was killed
     * stays in /proc until its parent asks for it, in containers often for ever, and is gone all the same.
     */
    private static long startOf(Path proc, long pid) {
        try {
            String stat = PlainFile.read(proc.resolve(Long.toString(pid)).resolve("stat"));
            String[] fields = PlainFile.statFields(stat);
            // The first thread may end before the others, and looks then as if it was all.
            boolean isGone = fields[0].equals("Z") && fields[17].equals("1");
            return isGone ? -1 : Long.parseLong(fields[19]);
        } catch (IOException e) {
            return -1;
        }
    }
}
