// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.attach;

import io.ksm4j.tools.output.CommandFailedException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.ClosedDirectoryStreamException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.SecureDirectoryStream;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.security.SecureRandom;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;

/**
 * A directory for the agent's jar and its answer, at a place that a JVM can see, which may be in a container. It is
 * deleted on close: by then the JVM has opened the jar.
 *
 * <p>The JVM names the place. The JVM may belong to another user while this process runs as root, so nothing at that
 * place is trusted. The directory is new, is accessed only through its descriptor, whatever happens to the path, and
 * belongs to this process. The JVM's user may write only the answer file.
 *
 * <p>A JVM that was attached to before gets the directory at the same place again. Another place would add an entry to
 * its class path.
 */
final class AgentDirectory implements AutoCloseable {

    /** Set by the agent. */
    static final String DIRECTORY_PROPERTY = "io.ksm4j.agent.directory";

    private static final String PREFIX = "ksm-attach";

    private static final Path JAR = Path.of("ksm-agent.jar");
    private static final Path ANSWER = Path.of("answer");

    /** The keys of an answer that is not an {@code error}. */
    private static final Set<String> ANSWERS = Set.of("wasOptedIn", "isOptedIn", "backend");

    private static final int MAX_ANSWER_BYTES = 64 << 10;

    private static final SecureRandom RANDOM = new SecureRandom();

    private final SecureDirectoryStream<Path> parent;
    private final SecureDirectoryStream<Path> directory;

    /** The path of the directory as the JVM sees it. */
    private final Path inside;

    private final Thread atExit = new Thread(this::delete);

    private AgentDirectory(SecureDirectoryStream<Path> parent, SecureDirectoryStream<Path> directory, Path inside) {
        this.parent = parent;
        this.directory = directory;
        this.inside = inside;
    }

    /**
     * Creates a directory.
     *
     * @param properties the system properties of the JVM
     * @throws CommandFailedException if it cannot be created there
     */
    static AgentDirectory create(long pid, Properties properties) {
        String temporary = properties.getProperty("java.io.tmpdir", "/tmp");
        try (InputStream jar = AgentDirectory.class.getResourceAsStream(JAR.toString())) {
            if (jar == null) {
                throw new CommandFailedException("this build of ksm does not contain " + JAR + ": build it again");
            }
            Path process = Path.of("/proc", Long.toString(pid));
            Path inside = Path.of(properties.getProperty("user.dir", "/"))
                    .resolve(temporary)
                    .toAbsolutePath();
            AgentDirectory directory =
                    createEmpty(process, inside, nameAsBefore(inside, properties.getProperty(DIRECTORY_PROPERTY, "")));
            try {
                Runtime.getRuntime().addShutdownHook(directory.atExit);
                directory.fill(jar, process);
                return directory;
            } catch (IOException | RuntimeException e) {
                directory.close();
                throw e;
            }
        } catch (IOException | InvalidPathException | ClassCastException e) {
            throw new CommandFailedException(
                    "cannot put the agent into " + temporary + ", the java.io.tmpdir of JVM " + pid + ": " + reason(e)
                            + ": start it with another one, or with -javaagent:ksm-agent.jar",
                    e);
        }
    }

    private static String reason(Exception e) {
        if (e instanceof NoSuchFileException) {
            return "no such directory";
        }
        if (e instanceof AccessDeniedException) {
            return "no permission to write there";
        }
        if (e instanceof NotDirectoryException) {
            return "not a directory";
        }
        return e instanceof FileSystemException file && file.getReason() != null ? file.getReason() : e.toString();
    }

    /**
     * Returns the name of the previous directory; empty unless the JVM names a directory of this class at the same
     * place.
     */
    private static Optional<Path> nameAsBefore(Path parent, String before) {
        String name = before.substring(before.lastIndexOf('/') + 1);
        return name.matches(PREFIX + "[0-9]+") && before.equals(parent + "/" + name)
                ? Optional.of(Path.of(name))
                : Optional.empty();
    }

    @SuppressWarnings("StreamResourceLeak") // Closed with the directory.
    private static AgentDirectory createEmpty(Path process, Path inside, Optional<Path> asBefore) throws IOException {
        Path outside = process.resolve("root").resolve(Path.of("/").relativize(inside));
        SecureDirectoryStream<Path> parent = (SecureDirectoryStream<Path>) Files.newDirectoryStream(outside);
        try {
            if (asBefore.isPresent()) {
                try {
                    return createEmpty(parent, outside, inside, asBefore.get());
                } catch (IOException e) {
                    // Another ksm is attached and uses it: a new place also works.
                }
            }
            return createEmpty(parent, outside, inside, Path.of(PREFIX + Long.toUnsignedString(RANDOM.nextLong())));
        } catch (IOException | RuntimeException e) {
            parent.close();
            throw e;
        }
    }

    private static AgentDirectory createEmpty(SecureDirectoryStream<Path> parent, Path outside, Path inside, Path name)
            throws IOException {
        Files.createDirectory(outside.resolve(name), PosixFilePermissions.asFileAttribute(permissions("rwx------")));
        SecureDirectoryStream<Path> directory = parent.newDirectoryStream(name, LinkOption.NOFOLLOW_LINKS);
        // Users who may write to the parent could have replaced it.
        if (!owner(directory).equals(Files.getOwner(Path.of("/proc/self")))) {
            directory.close();
            throw new IOException(name + " was replaced");
        }
        return new AgentDirectory(parent, directory, inside.resolve(name));
    }

    private static UserPrincipal owner(SecureDirectoryStream<Path> directory) throws IOException {
        return directory.getFileAttributeView(PosixFileAttributeView.class).getOwner();
    }

    private void fill(InputStream jar, Path process) throws IOException {
        try (OutputStream out = Channels.newOutputStream(create(JAR))) {
            jar.transferTo(out);
        }
        view(JAR).setPermissions(permissions("rw-r--r--"));
        create(ANSWER).close();
        view(ANSWER).setPermissions(permissions("rw-------"));
        view(ANSWER).setOwner(Files.getOwner(process));
        directory.getFileAttributeView(PosixFileAttributeView.class).setPermissions(permissions("rwxr-xr-x"));
    }

    private SeekableByteChannel create(Path file) throws IOException {
        return directory.newByteChannel(file, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
    }

    private PosixFileAttributeView view(Path file) {
        return directory.getFileAttributeView(file, PosixFileAttributeView.class, LinkOption.NOFOLLOW_LINKS);
    }

    private static Set<PosixFilePermission> permissions(String text) {
        return PosixFilePermissions.fromString(text);
    }

    String jarAsSeenFromInside() {
        return inside.resolve(JAR).toString();
    }

    String answerAsSeenFromInside() {
        return inside.resolve(ANSWER).toString();
    }

    /**
     * Reads the agent's answer.
     *
     * @throws CommandFailedException if there is none
     */
    Properties readAnswer() throws IOException {
        // The file belongs to the JVM's user and may contain anything.
        try (SeekableByteChannel file =
                directory.newByteChannel(ANSWER, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS))) {
            byte[] text = Channels.newInputStream(file).readNBytes(MAX_ANSWER_BYTES);
            if (text.length == 0) {
                throw new CommandFailedException("the agent did not answer: see the standard error of the JVM");
            }
            Properties answer = new Properties();
            answer.load(new ByteArrayInputStream(text));
            if (!answer.containsKey("error") && !answer.keySet().containsAll(ANSWERS)) {
                throw new CommandFailedException(
                        "the JVM has an agent of another version, which this ksm does not understand: it stays"
                                + " until the JVM ends");
            }
            return answer;
        } catch (IllegalArgumentException e) {
            throw new CommandFailedException("the answer of the agent is invalid: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        delete();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            return; // Shutdown is in progress.
        }
    }

    private void delete() {
        try (parent;
                directory) {
            deleteIfExists(ANSWER);
            deleteIfExists(JAR);
            parent.deleteDirectory(inside.getFileName());
        } catch (IOException | ClosedDirectoryStreamException e) {
            // Someone else has put a file there, or the container of the JVM has ended together with its files.
        }
    }

    private void deleteIfExists(Path file) throws IOException {
        try {
            directory.deleteFile(file);
        } catch (NoSuchFileException e) {
            // Not created yet.
        }
    }
}
