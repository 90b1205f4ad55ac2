package io.ksm4j.control;

import io.ksm4j.KsmPermissionException;
import io.ksm4j.internal.Descriptors;
import io.ksm4j.internal.JvmTurn;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
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

    private static final Set<OpenOption> LOCKING = Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE);

    /** Whoever may open a file to read can lock it, and keep everybody waiting. */
    private static final FileAttribute<?> ROOT_ALONE =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    private static final Set<PosixFilePermission> FOLDER = PosixFilePermissions.fromString("rwxr-xr-x");
    private static final Set<PosixFilePermission> FILE = PosixFilePermissions.fromString("rw-r--r--");

    /** For programs that do not need what they wait for. */
    static final Duration SHORT_PATIENCE = Duration.ofSeconds(5);

    private static final long GLANCE_MILLIS = 10;

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

    /** How long a program waits for another before it says so. */
    private final Duration silence;

    /** How long it waits in all: much longer than it takes to put settings back. */
    private final Duration patience;

    /** Ids of leases of this process that their sessions have given up, also where the file could not be told. */
    private final Set<String> ended = ConcurrentHashMap.newKeySet();

    SessionFile(Path folder, Path proc) {
        this(folder, proc, Duration.ofSeconds(5), Duration.ofMinutes(1));
    }

    SessionFile(Path folder, Path proc, Duration silence, Duration patience) {
        this.folder = folder;
        this.proc = proc;
        this.silence = silence;
        this.patience = patience;
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
        return !ended.contains(lease.id()) && lease.isLive(proc);
    }

    /** From now on it counts as that of a program that is gone. */
    void end(Lease lease) {
        ended.add(lease.id());
    }

    /** It is not in the file any more. */
    void forget(Lease lease) {
        ended.remove(lease.id());
    }

    /** Whether nobody has borrowed anything. Needs no lock. */
    boolean isAbsent() {
        return !Files.exists(file());
    }

    <T> T locked(Function<State, T> action) {
        return locked(patience, action);
    }

    /**
     * Does something while no other program and no other thread does. Waits for others, and says so after a while. Interrupting the
     * thread changes nothing but its status: what was borrowed must be put back all the same.
     *
     * @throws UncheckedIOException if others keep the lock for too long, or a file cannot be read or written
     */
    <T> T locked(Duration patience, Function<State, T> action) {
        try {
            createFolder();
            Wait wait = new Wait(patience);
            try {
                return locked(turn(wait), wait, action);
            } finally {
                wait.end();
            }
        } catch (AccessDeniedException e) {
            throw new KsmPermissionException("this process may not write " + folder
                    + ", where programs that change ksmd's settings leave what to put back: run it as root");
        } catch (IOException e) {
            throw new UncheckedIOException("cannot lock " + lockFile() + ": " + Descriptors.reason(e), e);
        }
    }

    private <T> T locked(JvmTurn turn, Wait wait, Function<State, T> action) throws IOException {
        // Nobody deletes the lock file: two programs could then hold locks on two files of the same name.
        try (turn;
                FileChannel channel = FileChannel.open(lockFile(), LOCKING, ROOT_ALONE)) {
            while (!tryLock(channel)) {
                wait.pause();
            }
            return action.apply(read());
        }
    }

    private void createFolder() throws IOException {
        if (Files.notExists(folder, LinkOption.NOFOLLOW_LINKS)) {
            Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(FOLDER));
            // Whatever the umask has taken away.
            Files.setPosixFilePermissions(folder, FOLDER);
        }
        requireNobodyElseWrites(folder);
    }

    /** Whoever could write it would decide what root writes into the settings. */
    private void requireNobodyElseWrites(Path path) throws IOException {
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
                    + ": others could write there what ksm4j puts back into the settings of ksmd. See whether these are as"
                    + " you want them, and remove it: rm -r " + path);
        }
    }

    private JvmTurn turn(Wait wait) throws IOException {
        JvmTurn turn = JvmTurn.tryTake(lockFile());
        while (turn == null) {
            wait.pause();
            turn = JvmTurn.tryTake(lockFile());
        }
        return turn;
    }

    @SuppressWarnings("resource") // It goes with its channel.
    private static boolean tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            // Something else in this JVM has locked it.
            return false;
        }
    }

    /** A wait for the lock, which says so after a while and ends with an exception. */
    private final class Wait {

        private final long start = System.nanoTime();
        private final Duration patience;
        private boolean isTold;
        private boolean interrupted;

        Wait(Duration patience) {
            this.patience = patience;
        }

        void pause() throws IOException {
            long waited = System.nanoTime() - start;
            if (waited >= patience.toNanos()) {
                throw new IOException("after " + patience.toSeconds() + " s it is still held by " + holder());
            }
            if (!isTold && waited >= silence.toNanos()) {
                System.getLogger("io.ksm4j")
                        .log(
                                System.Logger.Level.WARNING,
                                "waiting for " + lockFile() + ", which is held by " + holder());
                isTold = true;
            }
            try {
                Thread.sleep(GLANCE_MILLIS);
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }

        void end() {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** The process that has the lock, by {@code /proc/locks} (proc_locks(5)), and what to do about it. */
    private String holder() {
        try {
            long device = (Long) Files.getAttribute(lockFile(), "unix:dev");
            long inode = (Long) Files.getAttribute(lockFile(), "unix:ino");
            String id = String.format(
                    Locale.ROOT,
                    "%02x:%02x:%d",
                    (device >> 8 & 0xfff) | (device >> 32 & ~0xfffL),
                    (device & 0xff) | (device >> 12 & 0xffffff00L),
                    inode);
            for (String line : PlainFile.read(proc.resolve("locks")).split("\n", -1)) {
                String[] words = line.split(" +", -1);
                if (words.length > 5 && words[3].equals("WRITE") && words[5].equals(id)) {
                    return process(words[4]);
                }
            }
        } catch (IOException | ClassCastException e) {
            // Told as unknown.
        }
        return "another process, which cannot be told: look with lsof " + lockFile();
    }

    private String process(String pid) throws IOException {
        String stat = PlainFile.read(proc.resolve(pid).resolve("stat"));
        String name = stat.substring(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
        boolean isStopped = PlainFile.statFields(stat)[0].equalsIgnoreCase("T");
        return "process " + pid + " (" + name + ")"
                + (isStopped ? ", which is stopped: let it go on with kill -CONT " + pid + ", or end it" : "");
    }

    private Path lockFile() {
        return folder.resolve("lock");
    }

    private Path file() {
        return folder.resolve("settings");
    }

    private State read() throws IOException {
        if (isAbsent()) {
            return State.empty();
        }
        requireNobodyElseWrites(file());
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
            Files.deleteIfExists(next);
            Files.createFile(next, PosixFilePermissions.asFileAttribute(FILE));
            Files.setPosixFilePermissions(next, FILE);
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
     * When a process has started, in ticks since the machine has (proc_pid_stat(5)); -1 if there is no such process. One that was killed
     * stays in /proc until its parent asks for it, in containers often for ever, and is gone all the same.
     */
    private static long startOf(Path proc, long pid) {
        Path process = proc.resolve(Long.toString(pid));
        try {
            String stat = PlainFile.read(process.resolve("stat"));
            String[] fields = PlainFile.statFields(stat);
            // The first thread may end before the others, and looks then as if it was all.
            boolean isGone = fields[0].equals("Z") && fields[17].equals("1");
            return isGone ? -1 : Long.parseLong(fields[19]);
        } catch (IOException e) {
            if (Files.exists(process)) {
                throw new UncheckedIOException(
                        "cannot tell whether process " + pid + " has ended: " + Descriptors.reason(e), e);
            }
            return -1;
        }
    }
}
