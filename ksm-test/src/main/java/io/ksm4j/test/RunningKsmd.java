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
import java.util.concurrent.locks.LockSupport;

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
     * Waits for other JVMs to be done with {@code ksmd}, then starts it. Skips or fails the test where that is not possible.
     *
     * @return what puts everything back
     */
    public static RunningKsmd start() {
        KsmKernel.requireControl();
        try {
            FileChannel channel = FileChannel.open(LOCK, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            channel.lock();
            RunningKsmd ksmd = new RunningKsmd(channel);
            Runtime.getRuntime().addShutdownHook(ksmd.atExit);
            try {
                ksmd.apply();
            } catch (RuntimeException | IOException e) {
                ksmd.close();
                throw e;
            }
            return ksmd;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot start ksmd", e);
        }
    }

    private void apply() throws IOException {
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

    /** Puts the settings back and lets the next JVM in. */
    @Override
    public void close() {
        restore();
        Runtime.getRuntime().removeShutdownHook(atExit);
    }

    private synchronized void restore() {
        if (restored) {
            return;
        }
        restored = true;
        try (lock) {
            for (Map.Entry<String, String> setting : before) {
                Files.writeString(KsmKernel.SYSFS.resolve(setting.getKey()), setting.getValue());
            }
        } catch (IOException e) {
            throw new UncheckedIOException("could not put " + before + " back into " + KsmKernel.SYSFS, e);
        }
    }
}
