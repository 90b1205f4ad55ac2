package io.ksm4j.junit;

import java.io.Closeable;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Set;

/**
 * The lock that keeps one JVM of the machine from {@code ksmd} while another has it. Its file is in a folder that only root may write, where
 * nobody else can put one that the kernel does not let root open ({@code fs.protected_regular}), or keep it locked. The system unlocks it
 * when the JVM ends.
 */
final class LockFile implements Closeable {

    static final Path FOLDER = Path.of("/run/ksm4j");

    static final Path FILE = FOLDER.resolve("ksmd.lock");

    /** What earlier builds lock. */
    private static final Path EARLIER = Path.of(System.getProperty("java.io.tmpdir"), "ksm4j-ksmd.lock");

    /** Whoever may open a file to read can lock it. */
    private static final FileAttribute<?> OWNER_ALONE = attribute("rw-------");

    private final Deque<FileChannel> locked = new ArrayDeque<>();

    private LockFile() {}

    /**
     * Waits for it. A thread of the same JVM that has it must be waited for by other means.
     *
     * @throws java.nio.channels.FileLockInterruptionException if the thread is interrupted
     * @throws IOException if it cannot be locked; the message says what to do
     */
    static LockFile lock() throws IOException {
        LockFile lock = new LockFile();
        boolean done = false;
        try {
            prepare();
            lock.add(FileChannel.open(
                    FILE,
                    Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS),
                    OWNER_ALONE));
            if (isOwn(EARLIER)) {
                lock.add(FileChannel.open(EARLIER, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS));
            }
            done = true;
            return lock;
        } catch (AccessDeniedException e) {
            throw new IOException("this user may not write " + e.getFile() + ": run the tests as root", e);
        } finally {
            if (!done) {
                lock.close();
            }
        }
    }

    private static void prepare() throws IOException {
        Files.createDirectories(FOLDER, attribute("rwxr-xr-x"));
        Set<PosixFilePermission> permissions = attributes(FOLDER).permissions();
        if (permissions.contains(PosixFilePermission.OTHERS_WRITE)
                || permissions.contains(PosixFilePermission.GROUP_WRITE)) {
            throw new IOException("others may write " + FOLDER
                    + ", and could keep these tests waiting for ever: look at what is in it, and chmod 755 " + FOLDER);
        }
    }

    private void add(FileChannel channel) throws IOException {
        locked.push(channel);
        channel.lock();
    }

    /** Whether it is there, is no link, and is not somebody else's, who might never unlock it. */
    private static boolean isOwn(Path file) throws IOException {
        return Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)
                && attributes(file).owner().equals(Files.getOwner(Path.of("/proc/self")));
    }

    private static PosixFileAttributes attributes(Path file) throws IOException {
        return Files.readAttributes(file, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    }

    private static FileAttribute<?> attribute(String permissions) {
        return PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions));
    }

    @Override
    public void close() throws IOException {
        while (!locked.isEmpty()) {
            locked.pop().close();
        }
    }
}
