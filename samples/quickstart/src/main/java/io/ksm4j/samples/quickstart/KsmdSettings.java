package io.ksm4j.samples.quickstart;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The settings of the kernel's thread {@code ksmd}, which are the whole machine's. What is changed is put back by
 * {@link #close()}, and when the JVM exits without it; a lock file keeps other programs that change them waiting until then.
 */
final class KsmdSettings implements AutoCloseable {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");

    private static final Path LOCK = Path.of(System.getProperty("java.io.tmpdir"), "ksm4j-ksmd.lock");

    private record Setting(Path file, String value) {}

    private final boolean mayChange = Files.isWritable(SYSFS.resolve("run"));

    /** What to put back, the last change first. */
    private final Deque<Setting> before = new ArrayDeque<>();

    private boolean closed;

    private KsmdSettings() {}

    /** Waits for others to be done with {@code ksmd}. Whoever may not change it need not wait. */
    static KsmdSettings open() throws IOException {
        KsmdSettings settings = new KsmdSettings();
        if (settings.mayChange) {
            // Closed by the end of the JVM, so that nobody gets in before the settings are put back.
            FileChannel lock = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            if (lock.tryLock() == null) {
                System.out.println("waiting for another program to be done with ksmd (" + LOCK + ")");
                lock.lock();
            }
            Runtime.getRuntime().addShutdownHook(new Thread(settings::close, "put-ksmd-settings-back"));
        }
        return settings;
    }

    boolean mayChange() {
        return mayChange;
    }

    /** Starts {@code ksmd}, and lets it take all of one processor. */
    synchronized void runFast() throws IOException {
        if (closed) {
            return;
        }
        // A kernel that chooses pages_to_scan by itself refuses to be told.
        if (Files.exists(SYSFS.resolve("advisor_mode"))) {
            change("advisor_mode", "none");
        }
        change("pages_to_scan", "20000");
        change("sleep_millisecs", "0");
        change("run", "1");
    }

    /** Has every scan look at every page. With {@code smart_scan}, pages that are passed over are counted as volatile. */
    synchronized void lookAtEveryPage() throws IOException {
        if (!closed && Files.exists(SYSFS.resolve("smart_scan"))) {
            change("smart_scan", "0");
        }
    }

    private void change(String name, String value) throws IOException {
        Path file = SYSFS.resolve(name);
        before.push(new Setting(file, selected(Files.readString(file).trim())));
        Files.writeString(file, value);
    }

    /** Of a file that lists its choices, such as {@code [none] scan-time}, the one in brackets. */
    private static String selected(String value) {
        int open = value.indexOf('[');
        return open < 0 ? value : value.substring(open + 1, value.indexOf(']', open));
    }

    boolean isRunning() throws IOException {
        return read("run") == 1;
    }

    long fullScans() throws IOException {
        return read("full_scans");
    }

    /** Three scans of these pages and of all that are marked already, at the speed that is set. */
    long secondsToMerge(long pages) {
        try {
            long others =
                    read("pages_shared") + read("pages_sharing") + read("pages_unshared") + read("pages_volatile");
            long rounds = 3 * (pages + others) / Math.max(1, read("pages_to_scan"));
            return rounds * read("sleep_millisecs") / 1000;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static long read(String name) throws IOException {
        return Long.parseLong(Files.readString(SYSFS.resolve(name)).trim());
    }

    @Override
    public synchronized void close() {
        closed = true;
        while (!before.isEmpty()) {
            Setting setting = before.pop();
            try {
                Files.writeString(setting.file, setting.value);
            } catch (IOException e) {
                System.err.println("could not put " + setting.value + " back into " + setting.file + ": " + e);
            }
        }
    }
}
