// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.internal.JvmTurn;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * A lock file that excludes other programs, and other threads of this JVM. Safe for use by multiple threads.
 */
final class SessionLock {

    private static final long POLL_MILLIS = 10;

    private final Path file;
    private final Path proc;
    private final Duration warnAfter;

    /**
     * @param file the lock file, in a directory that exists when the lock is acquired
     * @param proc the directory {@code /proc}
     * @param warnAfter how long to wait for another program before a warning is logged
     */
    SessionLock(Path file, Path proc, Duration warnAfter) {
        this.file = file;
        this.proc = proc;
        this.warnAfter = warnAfter;
    }

    /**
     * Acquires the lock, until what is returned is closed. Interrupting the thread only sets its status: borrowed
     * settings must be restored nevertheless. The status is set again when the lock is released.
     *
     * @param timeout how long to wait at most
     * @throws IOException if the lock is still held after the timeout, or the file cannot be opened or locked
     */
    Held acquire(Duration timeout) throws IOException {
        Held held = new Held();
        boolean acquired = false;
        try {
            held.acquire(timeout);
            acquired = true;
            return held;
        } finally {
            if (!acquired) {
                held.close();
            }
        }
    }

    /** The lock while it is held, or waited for. */
    final class Held implements Closeable {

        private final long start = System.nanoTime();
        private @Nullable JvmTurn turn;
        private @Nullable FileChannel channel;
        private boolean hasWarned;
        private boolean wasInterrupted;

        private Held() {}

        private void acquire(Duration timeout) throws IOException {
            turn = JvmTurn.tryTake(file);
            while (turn == null) {
                pause(timeout);
                turn = JvmTurn.tryTake(file);
            }
            channel = JvmTurn.open(file);
            while (!tryLock(channel)) {
                pause(timeout);
            }
        }

        private void pause(Duration timeout) throws IOException {
            long waited = System.nanoTime() - start;
            if (waited >= timeout.toNanos()) {
                throw new IOException("after " + timeout.toSeconds() + " s it is still held by " + holder());
            }
            if (!hasWarned && waited >= warnAfter.toNanos()) {
                System.getLogger("io.ksm4j")
                        .log(System.Logger.Level.WARNING, "waiting for " + file + ", which is held by " + holder());
                hasWarned = true;
            }
            try {
                Thread.sleep(POLL_MILLIS);
            } catch (InterruptedException e) {
                wasInterrupted = true;
            }
        }

        @Override
        public void close() throws IOException {
            JvmTurn turn = this.turn;
            FileChannel channel = this.channel;
            try (turn;
                    channel) {
                // Closes the channel, then the turn.
            } finally {
                if (wasInterrupted) {
                    Thread.currentThread().interrupt();
                }
            }
        }
    }

    @SuppressWarnings("resource") // Closed with its channel.
    private static boolean tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock() != null;
        } catch (OverlappingFileLockException e) {
            // Other code in this JVM has locked the file.
            return false;
        }
    }

    /** {@return the process that holds the lock, by {@code /proc/locks} (proc_locks(5)), and what to do about it} */
    private String holder() {
        try {
            long device = (Long) Files.getAttribute(file, "unix:dev");
            long inode = (Long) Files.getAttribute(file, "unix:ino");
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
            // Reported as unknown.
        }
        return "another process, which could not be determined: try lsof " + file;
    }

    private String process(String pid) throws IOException {
        ProcessStat stat = new ProcessStat(PlainFile.read(proc.resolve(pid).resolve("stat")));
        boolean isStopped = stat.field(3).equalsIgnoreCase("T");
        return "process " + pid + " (" + stat.name() + ")"
                + (isStopped ? ", which is stopped: resume it with kill -CONT " + pid + ", or end it" : "");
    }
}
