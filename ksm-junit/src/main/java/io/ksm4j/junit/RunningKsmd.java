// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
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
 * A {@code ksmd} that scans as fast as it can, for one test of the machine at a time. A test that is {@link
 * EnabledIfKsm}{@code (control = true)} gets it as a parameter, other programs by {@link #start()}:
 *
 * <pre>{@code
 * try (RunningKsmd ksmd = RunningKsmd.start()) {
 *     ksmd.awaitMerged(regions, 0.9);
 * }
 * }</pre>
 *
 * <p>It checks every page in every scan, uses a whole processor, and merges zero-filled pages like any others: {@code
 * advisor_mode} none, {@code smart_scan} 0, {@code use_zero_pages} 0, {@code pages_to_scan} 1000000, {@code
 * sleep_millisecs} 0, {@code run} 1; settings that the kernel lacks are left out. The settings apply to the whole
 * machine. They are restored as described at {@link KsmSession}: when this object is closed, when the JVM exits without
 * closing it, and after a kill when the next program uses {@code ksmd}. Until then, other JVMs wait for a lock file,
 * {@code /run/ksm4j/ksmd.lock}.
 *
 * <p>This class is thread-safe.
 *
 * @since 0.1.0
 */
public final class RunningKsmd implements AutoCloseable {

    private static final KsmSettings FULL_SPEED = KsmSettings.EMPTY
            .with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
            .with(KsmSetting.SMART_SCAN, 0)
            .with(KsmSetting.USE_ZERO_PAGES, 0)
            .with(KsmSetting.PAGES_TO_SCAN, 1_000_000)
            .with(KsmSetting.SLEEP_MILLISECS, 0)
            .with(KsmSetting.RUN, 1);

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");

    private static final Path LOCK = LockFile.FILE;

    /** Bounds how long a test waits before it fails. Generous: a machine may be slow, or have much else to scan. */
    private static final Duration PATIENCE = Duration.ofMinutes(5);

    /**
     * If the JVM exits without {@link #close()}, the kernel releases it, after the sessions have restored everything.
     */
    private final LockFile lock;

    /** Held by the thread that borrows or restores settings. */
    private final ReentrantLock change = new ReentrantLock();

    /** The last one first. */
    private final Deque<KsmSession> sessions = new ArrayDeque<>();

    private boolean closed;

    private RunningKsmd(LockFile lock) {
        this.lock = lock;
    }

    /**
     * Waits until no other JVM and no other thread of this JVM uses {@code ksmd}, then starts it. A thread that starts
     * it twice without closing it waits for itself.
     *
     * @return an object that restores all settings when it is closed
     * @throws org.opentest4j.TestAbortedException see {@link KsmAssumptions#assumeControl()}
     * @throws AssertionError see {@link KsmAssumptions#assumeControl()}
     * @throws KsmException if the kernel refuses a setting
     * @throws IllegalStateException if the thread is interrupted while it waits
     * @throws UncheckedIOException if the lock file cannot be locked, or a setting cannot be read
     */
    public static RunningKsmd start() {
        KsmAssumptions.assumeControl();
        try {
            RunningKsmd ksmd = new RunningKsmd(lock());
            boolean started = false;
            try {
                ksmd.borrow(FULL_SPEED.presentIn(KsmDaemon.system().settings()));
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
            throw new IllegalStateException("interrupted while another thread was using ksmd", e);
        } catch (FileLockInterruptionException e) {
            throw new IllegalStateException("interrupted while another JVM was using ksmd", e);
        }
    }

    private void borrow(KsmSettings settings) {
        change.lock();
        try {
            if (closed) {
                throw new IllegalStateException("closed: the settings are restored, and other tests may be using ksmd");
            }
            sessions.push(KsmDaemon.system().borrow(settings));
        } finally {
            change.unlock();
        }
    }

    /**
     * Changes a setting until this object is closed, as {@link KsmDaemon#borrow} does.
     *
     * @param setting any setting; a setting that the kernel changes only while no page is merged must be set before
     *     pages merge, and can be restored only after the regions with merged pages are closed
     * @param value its value
     * @throws IllegalArgumentException if the value is out of the setting's range
     * @throws IllegalStateException if this object is closed
     * @throws KsmException if the kernel lacks the setting or refuses the value
     * @throws UncheckedIOException if a setting cannot be read
     */
    public void set(KsmSetting setting, long value) {
        borrow(KsmSettings.EMPTY.with(setting, value));
    }

    /**
     * Reads a counter, or a setting that is a number.
     *
     * @param file the name of the file in {@code /sys/kernel/mm/ksm}, such as {@code full_scans}
     * @return the number
     * @throws UncheckedIOException if there is no such file
     * @throws NumberFormatException if the file holds no number
     */
    public long read(String file) {
        try {
            return Long.parseLong(Files.readString(SYSFS.resolve(file)).trim());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /**
     * Waits until {@code ksmd} has made this many more full scans. Merging takes two scans: the first detects a page,
     * the second checks that the page has not changed. The scan in progress may have started before the page was
     * marked. To wait until pages merge, use {@link #awaitMerged}; this method is for tests that nothing merges, or
     * nothing more.
     *
     * @param scans the number of scans
     * @throws AssertionError if the scans take more than five minutes; {@code ksmd} does not scan where nothing is
     *     marked
     */
    public void awaitFullScans(int scans) {
        long wanted = read("full_scans") + scans;
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (read("full_scans") < wanted) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("ksmd did not make " + scans + " full scans in " + PATIENCE.toSeconds()
                        + " s; run is " + read("run") + "; ksmd does not scan where nothing is marked");
            }
            // The kernel has no notification for the end of a scan.
            LockSupport.parkNanos(2_000_000);
        }
    }

    /**
     * Waits until a share of a region's pages in use is merged, as {@link MergeRegion#awaitMerged} does, for at most
     * five minutes.
     *
     * @param region an open region
     * @param share of its pages in use, above 0 and at most 1
     * @throws AssertionError if no more pages can merge, or the five minutes are over; the message has the reason
     * @throws InterruptedException if the thread is interrupted
     */
    public void awaitMerged(MergeRegion region, double share) throws InterruptedException {
        awaitMerged(List.of(region), share);
    }

    /**
     * Waits until, in each of these regions, a share of the pages in use is merged, for at most five minutes. With
     * {@link io.ksm4j.Ksm#awaitMerged}, in contrast, the share applies to all regions together.
     *
     * @param regions open regions
     * @param share of the pages in use of each region, above 0 and at most 1
     * @throws AssertionError if no more pages can merge, or the five minutes are over; the message has the region and
     *     the reason
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
     * Restores the settings and lets the next test use {@code ksmd}. A second call retries what has failed, and
     * otherwise does nothing.
     *
     * @throws KsmException if a setting cannot be restored; the other settings are restored
     * @throws UncheckedIOException if the file of sessions cannot be read or written
     */
    @Override
    public void close() {
        change.lock();
        try {
            restoreAndUnlock();
        } finally {
            change.unlock();
        }
    }

    private void restoreAndUnlock() {
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
