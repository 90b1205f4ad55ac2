// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmPermissionException;
import io.ksm4j.internal.Descriptors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/**
 * The file that records which settings the ksm4j programs of a machine have borrowed. With it, the last session
 * restores the values that the first one found, and the next program those that a killed program left behind. It is
 * read and written under a lock, and replaced as a whole. Safe for use by multiple threads.
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

    private static final Set<PosixFilePermission> DIRECTORY_MODE = PosixFilePermissions.fromString("rwxr-xr-x");
    private static final Set<PosixFilePermission> FILE_MODE = PosixFilePermissions.fromString("rw-r--r--");

    /** For programs that can go on without the lock. */
    static final Duration SHORT_TIMEOUT = Duration.ofSeconds(5);

    private static final Duration WARN_AFTER = Duration.ofSeconds(5);

    /** Much longer than it takes to restore settings. */
    private static final Duration TIMEOUT = Duration.ofMinutes(1);

    /**
     * The settings that one session has borrowed. Of several leases of a setting, the last one in the file applies.
     *
     * @param pid the PID of the session's program
     * @param start when that program started, in clock ticks since boot
     * @param id names the session
     * @param settings the borrowed settings
     */
    record Lease(long pid, long start, String id, KsmSettings settings) {

        /** {@return the same lease of other settings} */
        Lease of(KsmSettings others) {
            return new Lease(pid, start, id, others);
        }
    }

    /**
     * The values of a borrowed setting.
     *
     * @param before the value before any session borrowed the setting
     * @param written the value that ksm4j wrote last
     */
    record Found(long before, long written) {}

    /**
     * The content of the file.
     *
     * @param found the borrowed settings; mutable
     * @param leases the leases, in the order of the sessions; mutable
     */
    record State(Map<KsmSetting, Found> found, List<Lease> leases) {

        State {
            found = new EnumMap<>(found);
            leases = new ArrayList<>(leases);
        }

        static State empty() {
            return new State(new EnumMap<>(KsmSetting.class), List.of());
        }
    }

    private final Path directory;
    private final Path proc;
    private final Duration timeout;
    private final SessionLock lock;

    /** Ids of leases of this process whose sessions have ended, even if the file could not be updated. */
    private final Set<String> ended = ConcurrentHashMap.newKeySet();

    SessionFile(Path directory, Path proc) {
        this(directory, proc, WARN_AFTER, TIMEOUT);
    }

    /**
     * @param directory created when the lock is acquired first
     * @param proc the directory {@code /proc}
     * @param warnAfter how long to wait for another program before a warning is logged
     * @param timeout how long to wait for another program in all
     */
    SessionFile(Path directory, Path proc, Duration warnAfter, Duration timeout) {
        this.directory = directory;
        this.proc = proc;
        this.timeout = timeout;
        this.lock = new SessionLock(lockFile(), proc, warnAfter);
    }

    /**
     * {@return the file of this machine, in a directory that only root may write, since only root can borrow settings}
     */
    static SessionFile ofThisMachine() {
        return new SessionFile(Path.of("/run/ksm4j"), Path.of("/proc"));
    }

    /** {@return a lease of this process, of no settings yet} */
    Lease lease(String id) {
        long pid = ProcessHandle.current().pid();
        return new Lease(pid, startOf(pid), id, KsmSettings.EMPTY);
    }

    /**
     * Returns whether the session of a lease is open. PIDs are reused, but a PID and its start time are not, until the
     * next boot.
     */
    boolean isLive(Lease lease) {
        return !ended.contains(lease.id()) && lease.start() >= 0 && lease.start() == startOf(lease.pid());
    }

    /** From now on, treats the lease as one of a program that has ended. */
    void end(Lease lease) {
        ended.add(lease.id());
    }

    /** To be called when an ended lease is no longer in the file. */
    void forget(Lease lease) {
        ended.remove(lease.id());
    }

    /** {@return whether no setting is borrowed} Needs no lock. */
    boolean isAbsent() {
        return !Files.exists(file());
    }

    /** As {@link #locked(Duration, Function)}, with the timeout of this file. */
    <T> T locked(Function<State, T> action) {
        return locked(timeout, action);
    }

    /**
     * Runs an action on the content of the file, while no other program and no other thread can. Waits for others, and
     * logs a warning after a while. Interrupting the thread only sets its status: borrowed settings must be restored
     * nevertheless.
     *
     * @throws UncheckedIOException if others hold the lock for longer than the timeout, or a file cannot be read or
     *     written
     * @throws KsmPermissionException if this process may not write the directory, or others may
     */
    <T> T locked(Duration timeout, Function<State, T> action) {
        try {
            createDirectory();
            SessionLock.Held held = lock.acquire(timeout);
            try (held) {
                return action.apply(read());
            }
        } catch (AccessDeniedException e) {
            throw new KsmPermissionException("this process may not write " + directory
                    + ", where ksm4j records the settings of ksmd that it must restore: run it as root");
        } catch (IOException e) {
            throw new UncheckedIOException("cannot lock " + lockFile() + ": " + Descriptors.reason(e), e);
        }
    }

    private void createDirectory() throws IOException {
        if (Files.notExists(directory, LinkOption.NOFOLLOW_LINKS)) {
            Files.createDirectories(directory, PosixFilePermissions.asFileAttribute(DIRECTORY_MODE));
            // Again, since the umask may have removed permissions.
            Files.setPosixFilePermissions(directory, DIRECTORY_MODE);
        }
        requireProtected(directory);
    }

    /** Refuses a path that other users may write: they would choose what root writes to the settings. */
    private void requireProtected(Path path) throws IOException {
        PosixFileAttributes attributes =
                Files.readAttributes(path, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        Object owner = Files.getAttribute(path, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        boolean isOurs = owner.equals(0) || owner.equals(Files.getAttribute(proc.resolve("self"), "unix:uid"));
        if (!isOurs
                || attributes.isSymbolicLink()
                || attributes.permissions().contains(PosixFilePermission.GROUP_WRITE)
                || attributes.permissions().contains(PosixFilePermission.OTHERS_WRITE)) {
            throw new KsmPermissionException(path + " is "
                    + (attributes.isSymbolicLink()
                            ? "a symbolic link"
                            : PosixFilePermissions.toString(attributes.permissions()) + " and belongs to "
                                    + attributes.owner())
                    + ": other users could write there what ksm4j writes to the settings of ksmd. Check these"
                    + " settings, then remove it: rm -r " + path);
        }
    }

    private Path lockFile() {
        return directory.resolve("lock");
    }

    private Path file() {
        return directory.resolve("settings");
    }

    private State read() throws IOException {
        if (isAbsent()) {
            return State.empty();
        }
        requireProtected(file());
        List<String> lines = PlainFile.read(file()).lines().toList();
        try {
            return parse(lines, FORMAT + bootId());
        } catch (RuntimeException e) {
            throw new UncheckedIOException(
                    file() + " has an unknown format: check the settings of ksmd, then delete the file",
                    new IOException(String.join("\n", lines), e));
        }
    }

    private static State parse(List<String> lines, String firstLine) {
        int last = lines.size() - 1;
        if (last < 1 || !lines.get(0).startsWith(FORMAT) || !lines.get(last).equals(LAST_LINE)) {
            throw new IllegalArgumentException("the first or the last line is missing");
        }
        if (!lines.get(0).equals(firstLine)) {
            // The machine has rebooted since, which reset all settings.
            return State.empty();
        }
        State state = State.empty();
        for (String line : lines.subList(1, last)) {
            String[] words = line.split(" ", -1);
            switch (words[0]) {
                case "found" ->
                    state.found().put(setting(words[1]), new Found(Long.parseLong(words[2]), Long.parseLong(words[3])));
                case "lease" -> state.leases().add(lease(words));
                default -> throw new IllegalArgumentException("unknown line: " + line);
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

    /** Replaces the file as a whole, so that a program that is killed leaves the old file or the new one. */
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
            Path next = directory.resolve("settings.next");
            Files.deleteIfExists(next);
            Files.createFile(next, PosixFilePermissions.asFileAttribute(FILE_MODE));
            Files.setPosixFilePermissions(next, FILE_MODE);
            PlainFile.write(next, text.toString());
            Files.move(next, file(), StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + file() + ": " + Descriptors.reason(e), e);
        }
    }

    private String bootId() throws IOException {
        return PlainFile.read(proc.resolve("sys/kernel/random/boot_id")).strip();
    }

    /**
     * Returns when a process started, in clock ticks since boot (proc_pid_stat(5)); -1 if it has ended. A killed
     * process stays in {@code /proc} until its parent waits for it, in containers often forever, but counts as ended.
     *
     * @throws UncheckedIOException if the file of an existing process cannot be read
     */
    private long startOf(long pid) {
        Path process = proc.resolve(Long.toString(pid));
        try {
            ProcessStat stat = new ProcessStat(PlainFile.read(process.resolve("stat")));
            // Field 20 counts the threads: a process looks like a zombie, too, if its first thread ends before others.
            boolean hasEnded = stat.field(3).equals("Z") && stat.field(20).equals("1");
            return hasEnded ? -1 : Long.parseLong(stat.field(22));
        } catch (IOException e) {
            if (Files.exists(process)) {
                throw new UncheckedIOException(
                        "cannot determine whether process " + pid + " has ended: " + Descriptors.reason(e), e);
            }
            return -1;
        }
    }
}
