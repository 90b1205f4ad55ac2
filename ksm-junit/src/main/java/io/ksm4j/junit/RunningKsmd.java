package io.ksm4j.junit;

import io.ksm4j.KsmException;
import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileLockInterruptionException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * {@code ksmd} at full tilt, for one test of the machine at a time. A parameter of this type gives it to a test that is {@link
 * EnabledIfKsm}{@code (control = true)}, and {@link #start()} to other programs:
 *
 * <pre>{@code
 * try (RunningKsmd ksmd = RunningKsmd.start()) {
 *     ksmd.awaitMerged(regions, 0.9);
 * }
 * }</pre>
 *
 * <p>It looks at every page in every scan, takes all of one processor, and leaves pages of zeros to merge like any others: {@code
 * advisor_mode} none, {@code smart_scan} 0, {@code use_zero_pages} 0, {@code pages_to_scan} 1000000, {@code sleep_millisecs} 0, {@code
 * run} 1, without those that the kernel lacks. The settings are the whole machine's. They are put back as {@link KsmSession} says:
 * when this is closed, when the JVM exits without it, and after a kill when the next program asks for {@code ksmd}. A lock file,
 * {@code /run/ksm4j/ksmd.lock}, keeps other JVMs waiting until then.
 *
 * <p>Safe for use by many threads.
 */
public final class RunningKsmd implements AutoCloseable {

    private static final KsmSettings FULL_TILT = KsmSettings.EMPTY
            .with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
            .with(KsmSetting.SMART_SCAN, 0)
            .with(KsmSetting.USE_ZERO_PAGES, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 1_000_000)
            .with(KsmSetting.SLEEP_MILLISECS, 0)
            .with(KsmSetting.RUN, 1);

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");

    private static final Path LOCK = LockFile.FILE;

    private static final Duration PATIENCE = Duration.ofSeconds(60);

    /** When the JVM exits without {@link #close()}, the system gives it up, after the sessions have put everything back. */
    private final LockFile lock;

    /** Held by the thread that borrows or puts back. */
    private final ReentrantLock change = new ReentrantLock();

    /** The last one first. */
    private final Deque<KsmSession> sessions = new ArrayDeque<>();

    private boolean closed;

    private RunningKsmd(LockFile lock) {
        this.lock = lock;
    }

    /**
     * Waits for other JVMs, and other threads of this one, to be done with {@code ksmd}, then starts it. A thread that starts it a
     * second time without closing it waits for itself.
     *
     * @return what puts everything back
     * @throws org.opentest4j.TestAbortedException as {@link KsmAssumptions#assumeControl()}
     * @throws AssertionError as {@link KsmAssumptions#assumeControl()}
     * @throws KsmException if the kernel refuses a setting
     * @throws IllegalStateException if the thread is interrupted while another one has it
     * @throws UncheckedIOException if the lock file cannot be locked, or a setting cannot be read
     */
    public static RunningKsmd start() {
        KsmAssumptions.assumeControl();
        try {
            RunningKsmd ksmd = new RunningKsmd(lock());
            boolean started = false;
            try {
                ksmd.borrow(FULL_TILT.presentIn(KsmDaemon.system().settings()));
                started = true;
                return ksmd;
            } finally {
                if (!started) {
                    ksmd.close();
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException("cannot lock " + LOCK + ": " + e.getMessage(), e);
        }
    }

    private static LockFile lock() throws IOException {
        try {
            return LockFile.lock();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while another thread had ksmd", e);
        } catch (FileLockInterruptionException e) {
            throw new IllegalStateException("interrupted while another JVM had ksmd", e);
        }
    }

    private void borrow(KsmSettings settings) {
        change.lock();
        try {
            if (closed) {
                throw new IllegalStateException("closed: the settings are put back, and others may have ksmd now");
            }
            sessions.push(KsmDaemon.system().borrow(settings));
        } finally {
            change.unlock();
        }
    }

    /**
     * Changes a setting until this is closed, as {@link KsmDaemon#borrow} does.
     *
     * @param setting any setting; one that changes only while no page is merged must be set before pages merge, and can be put back only
     *     when the regions that have are closed
     * @param value its value
     * @throws IllegalArgumentException if the value is not in the setting's range
     * @throws IllegalStateException if this is closed
     * @throws KsmException if the kernel lacks the setting or refuses the value
     * @throws UncheckedIOException if a setting cannot be read
     */
    public void set(KsmSetting setting, long value) {
        borrow(KsmSettings.EMPTY.with(setting, value));
    }

    /**
     * Reads a counter or setting that is a number.
     *
     * @param file the file's name in {@code /sys/kernel/mm/ksm}, such as {@code full_scans}
     * @return its number
     * @throws UncheckedIOException if there is no such file
     * @throws NumberFormatException if it holds no number
     */
    public long read(String file) {
        try {
            return Long.parseLong(Files.readString(SYSFS.resolve(file)).trim());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Waits until {@code ksmd} has gone through all memory this many times more. Merging takes two scans: one to see a page,
     * one to see that it has not changed; the scan under way may have begun before the page was marked. {@link #awaitMerged} waits for
     * what has merged; this is for tests that nothing merges, or no more.
     *
     * @param scans how many
     * @throws AssertionError if it has not in a minute; where nothing is marked it does not scan
     */
    public void awaitFullScans(int scans) {
        long wanted = read("full_scans") + scans;
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (read("full_scans") < wanted) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("ksmd did not make " + scans + " full scans in " + PATIENCE.toSeconds()
                        + " s; run is " + read("run") + ", and where nothing is marked there are none");
            }
            // The kernel has nobody to call when a scan ends.
            LockSupport.parkNanos(2_000_000);
        }
    }

    /**
     * Waits until a share of the pages in use of a region is merged: {@link MergeRegion#awaitMerged}, for a minute at most.
     *
     * @param region an open region
     * @param share of its pages in use, above 0 and at most 1
     * @throws AssertionError if nothing more can come, or the minute is over; the message says why
     * @throws InterruptedException if the thread is interrupted
     */
    public void awaitMerged(MergeRegion region, double share) throws InterruptedException {
        awaitMerged(List.of(region), share);
    }

    /**
     * Waits until a share of the pages in use of each of some regions is merged, for a minute at most. Unlike {@link
     * io.ksm4j.Ksm#awaitMerged}, it does not let one region make up for another.
     *
     * @param regions open regions
     * @param share of the pages in use of each, above 0 and at most 1
     * @throws AssertionError if nothing more can come, or the minute is over; the message names the region and says why
     * @throws InterruptedException if the thread is interrupted
     */
    public void awaitMerged(Collection<MergeRegion> regions, double share) throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        for (MergeRegion region : regions) {
            Duration left = Duration.ofNanos(Math.max(0, deadline - System.nanoTime()));
            MergeOutcome outcome = region.awaitMerged(share, left);
            if (!outcome.isReached()) {
                throw MergeFailure.of(region, share, outcome);
            }
        }
    }

    /**
     * Puts the settings back and lets the next test in. Another call tries again what has failed, and otherwise does nothing.
     *
     * @throws KsmException if a setting cannot be put back; the others are
     * @throws UncheckedIOException if the file of sessions cannot be read or written
     */
    @Override
    public void close() {
        change.lock();
        try {
            putBackAndUnlock();
        } finally {
            change.unlock();
        }
    }

    private void putBackAndUnlock() {
        RuntimeException failure = null;
        for (KsmSession session : List.copyOf(sessions)) {
            try {
                session.close();
                sessions.remove(session);
            } catch (KsmException | UncheckedIOException e) {
                failure = add(failure, e);
            }
        }
        if (!closed) {
            closed = true;
            try {
                lock.close();
            } catch (IOException e) {
                failure = add(failure, new UncheckedIOException("cannot unlock " + LOCK, e));
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private static RuntimeException add(@Nullable RuntimeException failure, RuntimeException another) {
        if (failure == null) {
            return another;
        }
        failure.addSuppressed(another);
        return failure;
    }
}
