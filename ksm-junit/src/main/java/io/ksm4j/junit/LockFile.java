// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import io.ksm4j.internal.JvmTurn;
import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The lock that lets one JVM of the machine at a time use {@code ksmd}. Its file is in a directory that only root may
 * write. In any other directory, another user could create a file there that the kernel does not let root open ({@code
 * fs.protected_regular}), or keep the file locked. The kernel releases the lock when the JVM ends.
 */
final class LockFile implements Closeable {

    static final Path DIRECTORY = Path.of("/run/ksm4j");

    static final Path FILE = DIRECTORY.resolve("ksmd.lock");

    private static final long PAUSE_MILLIS = 10;

    private final JvmTurn turn;
    private @Nullable FileChannel channel;

    private LockFile(JvmTurn turn) {
        this.turn = turn;
    }

    /**
     * Waits until no other thread of this JVM and no other JVM holds the lock, and takes it.
     *
     * @throws InterruptedException if the thread is interrupted while it waits for another thread
     * @throws java.nio.channels.FileLockInterruptionException if the thread is interrupted while it waits for another
     *     JVM
     * @throws IOException if it cannot be locked; the message says what to do
     */
    static LockFile lock() throws IOException, InterruptedException {
        try {
            prepare();
            LockFile lock = new LockFile(awaitTurn());
            boolean locked = false;
            try {
                lock.channel = JvmTurn.open(FILE);
                lock.channel.lock();
                locked = true;
                return lock;
            } finally {
                if (!locked) {
                    lock.close();
                }
            }
        } catch (AccessDeniedException e) {
            throw new IOException("this user may not write " + e.getFile() + ": run the tests as root", e);
        }
    }

    private static JvmTurn awaitTurn() throws IOException, InterruptedException {
        JvmTurn turn = JvmTurn.tryTake(FILE);
        while (turn == null) {
            Thread.sleep(PAUSE_MILLIS);
            turn = JvmTurn.tryTake(FILE);
        }
        return turn;
    }

    private static void prepare() throws IOException {
        Files.createDirectories(
                DIRECTORY, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwxr-xr-x")));
        Set<PosixFilePermission> permissions = attributes(DIRECTORY).permissions();
        if (permissions.contains(PosixFilePermission.OTHERS_WRITE)
                || permissions.contains(PosixFilePermission.GROUP_WRITE)) {
            throw new IOException("others may write " + DIRECTORY
                    + " and could block these tests forever: check its contents, then run chmod 755 " + DIRECTORY);
        }
    }

    private static PosixFileAttributes attributes(Path file) throws IOException {
        return Files.readAttributes(file, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    }

    @Override
    public void close() throws IOException {
        try (turn) {
            if (channel != null) {
                channel.close();
            }
        }
    }
}
