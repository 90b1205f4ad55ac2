package io.ksm4j.test;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * {@code ksmd} at full tilt, for one test of one JVM at a time.
 *
 * <pre>{@code
 * try (RunningKsmd ksmd = RunningKsmd.start()) {
 *     ksmd.awaitFullScans(3);
 * }
 * }</pre>
 *
 * <p>The settings are the whole machine's. They are put back by {@link #close()}, and when the JVM exits without it; a lock file
 * in the temporary folder keeps other JVMs waiting until then.
 */
public final class RunningKsmd implements AutoCloseable {

    /** What full tilt means, in the order it is written: a kernel that advises itself refuses pages_to_scan. */
    private static final Map<String, String> FULL_TILT = fullTilt();

    private static final Path LOCK = Path.of(System.getProperty("java.io.tmpdir"), "ksm4j-ksmd.lock");

    /** Whose turn it is in this JVM: a file lock belongs to a JVM, and closing any channel of its file gives it up. */
    private static final Semaphore TURN = new Semaphore(1);

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    private final FileChannel lock;

    /** What to put back, the last change first: a kernel that advises itself refuses pages_to_scan. */
    private final Deque<Map.Entry<String, String>> before = new ArrayDeque<>();

    private final Thread atExit = new Thread(this::restore, "ksm4j-restore-ksmd");
    private boolean restored;

    private RunningKsmd(FileChannel lock) {
        this.lock = lock;
    }

    private static Map<String, String> fullTilt() {
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("advisor_mode", "none");
        settings.put("smart_scan", "0");
        settings.put("use_zero_pages", "0");
        settings.put("pages_to_scan", "1000000");
        settings.put("sleep_millisecs", "0");
        settings.put("run", "1");
        return settings;
    }

    /**
     * Waits for other JVMs, and other threads of this one, to be done with {@code ksmd}, then starts it. Skips or fails the test
     * where that is not possible. A thread that starts it a second time without closing it waits for itself.
     *
     * @return what puts everything back
     */
    public static RunningKsmd start() {
        KsmKernel.requireControl();
        try {
            RunningKsmd ksmd = new RunningKsmd(lock());
            try {
                Runtime.getRuntime().addShutdownHook(ksmd.atExit);
                ksmd.apply();
                return ksmd;
            } catch (RuntimeException | IOException e) {
                ksmd.close();
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start ksmd", e);
        }
    }

    private static FileChannel lock() throws IOException {
        try {
            TURN.acquire();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while another thread had ksmd", e);
        }
        FileChannel channel = null;
        boolean locked = false;
        try {
            channel = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            channel.lock();
            locked = true;
            return channel;
        } finally {
            if (!locked) {
                unlock(channel);
            }
        }
    }

    private static void unlock(@Nullable FileChannel channel) throws IOException {
        try {
            if (channel != null) {
                channel.close();
            }
        } finally {
            TURN.release();
        }
    }

    private synchronized void apply() throws IOException {
        if (restored) {
            throw new IllegalStateException("the JVM is exiting");
        }
        for (Map.Entry<String, String> setting : FULL_TILT.entrySet()) {
            Path file = KsmKernel.SYSFS.resolve(setting.getKey());
            if (!Files.exists(file)) {
                continue;
            }
            before.push(
                    Map.entry(setting.getKey(), selected(Files.readString(file).trim())));
            Files.writeString(file, setting.getValue());
        }
    }

    /** Of a file that lists its choices, such as {@code [none] scan-time}, the one in brackets. */
    private static String selected(String value) {
        int open = value.indexOf('[');
        return open < 0 ? value : value.substring(open + 1, value.indexOf(']', open));
    }

    /**
     * Reads a counter or setting of {@code /sys/kernel/mm/ksm}.
     *
     * @param file the file's name
     * @return its number
     */
    public long read(String file) {
        try {
            return Long.parseLong(
                    Files.readString(KsmKernel.SYSFS.resolve(file)).trim());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Waits until {@code ksmd} has gone through all memory this many times more. Merging takes two scans: one to see a page,
     * one to see that it has not changed; the scan under way may have begun before the page was marked.
     *
     * @param scans how many
     */
    public void awaitFullScans(int scans) {
        long wanted = read("full_scans") + scans;
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (read("full_scans") < wanted) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("ksmd did not make " + scans + " full scans in " + PATIENCE);
            }
            // The kernel has nobody to call when a scan ends.
            LockSupport.parkNanos(2_000_000);
        }
    }

    /** Puts the settings back and lets the next thread or JVM in. */
    @Override
    public void close() {
        try {
            restore();
        } finally {
            removeHook();
        }
    }

    private void removeHook() {
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException exiting) {
            // The hook runs, and finds everything put back.
        }
    }

    private synchronized void restore() {
        if (restored) {
            return;
        }
        restored = true;
        try {
            try {
                putBack(KsmKernel.SYSFS, before);
            } finally {
                unlock(lock);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("could not put " + before + " back into " + KsmKernel.SYSFS, e);
        }
    }

    /** Goes on after a setting that cannot be written, and throws at the end. */
    static void putBack(Path folder, Iterable<Map.Entry<String, String>> settings) throws IOException {
        IOException failed = null;
        for (Map.Entry<String, String> setting : settings) {
            try {
                Files.writeString(folder.resolve(setting.getKey()), setting.getValue());
            } catch (IOException e) {
                if (failed == null) {
                    failed = e;
                } else {
                    failed.addSuppressed(e);
                }
            }
        }
        if (failed != null) {
            throw failed;
        }
    }
}
