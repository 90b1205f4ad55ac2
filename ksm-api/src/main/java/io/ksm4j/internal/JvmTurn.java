// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The right of one thread of this JVM to use a lock file, across copies of ksm4j in different class loaders. The
 * kernel's locks cannot provide that: they belong to the process, and closing any descriptor of the file releases them
 * (fcntl_locking(2)).
 *
 * <p>A turn is an entry in the JDK's table of file locks. The table covers the whole JVM and remains correct when the
 * kernel's lock is gone: {@link FileChannel#tryLock} throws {@link OverlappingFileLockException}. The entry is for a
 * separate file, and for the byte at the offset equal to the PID, so that processes do not wait for each other.
 */
public final class JvmTurn implements Closeable {

    private static final String SUFFIX = ".turn";

    private static final Set<OpenOption> OPTIONS =
            Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);

    private static final FileAttribute<?> OWNER_ONLY =
            PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    private final FileChannel channel;

    private JvmTurn(FileChannel channel) {
        this.channel = channel;
    }

    /**
     * Takes the turn if no thread of this JVM has it.
     *
     * @param lockFile the file to be locked; the turn's own file is created beside it
     * @return the turn; null if a thread has it, even if that is the calling thread
     * @throws IOException if the turn's file cannot be opened
     */
    public static @Nullable JvmTurn tryTake(Path lockFile) throws IOException {
        FileChannel channel = open(lockFile.resolveSibling(lockFile.getFileName() + SUFFIX));
        boolean taken = false;
        try {
            taken = channel.tryLock(ProcessHandle.current().pid(), 1, false) != null;
        } catch (OverlappingFileLockException e) {
            // Another thread, or this one, has the turn.
        } finally {
            if (!taken) {
                channel.close();
            }
        }
        return taken ? new JvmTurn(channel) : null;
    }

    /**
     * Opens a lock file for writing, and creates it if it is missing. Only its owner may open it, because anyone who
     * may open a file for reading can lock it. It is never deleted: two programs could then hold locks on two files of
     * the same name.
     *
     * @param lockFile the file, in a directory that only its owner may write
     * @throws IOException if it cannot be opened, or is a symbolic link
     */
    public static FileChannel open(Path lockFile) throws IOException {
        return FileChannel.open(lockFile, OPTIONS, OWNER_ONLY);
    }

    /** Releases the turn. */
    @Override
    public void close() throws IOException {
        channel.close();
    }
}
