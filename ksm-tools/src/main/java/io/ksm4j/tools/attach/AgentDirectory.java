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
 * A directory for the agent's jar, and for its answer, where a JVM sees it, which may be in a container. It is gone when this is closed:
 * the JVM has the jar open by then.
 *
 * <p>The JVM says where, and may be another's while this process is root's. So nothing in that place is trusted: the directory is new, is
 * reached by its descriptor from then on, whatever becomes of the path, and stays this process's own. The JVM's user is given
 * nothing but the file for the answer.
 *
 * <p>A JVM that was attached to before gets it in the same place again. Each other place would stay on its class path.
 */
final class AgentDirectory implements AutoCloseable {

    /** Set by the agent. */
    static final String DIRECTORY_PROPERTY = "io.ksm4j.agent.directory";

    private static final String PREFIX = "ksm-attach";

    private static final Path JAR = Path.of("ksm-agent.jar");
    private static final Path ANSWER = Path.of("answer");

    /** What the agent says, unless it is an {@code error}. */
    private static final Set<String> ANSWERS = Set.of("wasOptedIn", "isOptedIn", "backend");

    private static final int MAX_ANSWER_BYTES = 64 << 10;

    private static final SecureRandom RANDOM = new SecureRandom();

    private final SecureDirectoryStream<Path> parent;
    private final SecureDirectoryStream<Path> directory;

    /** As the JVM sees it. */
    private final Path inside;

    private final Thread atExit = new Thread(this::delete);

    private AgentDirectory(SecureDirectoryStream<Path> parent, SecureDirectoryStream<Path> directory, Path inside) {
        this.parent = parent;
        this.directory = directory;
        this.inside = inside;
    }

    /**
     * Makes one.
     *
     * @param properties the system properties of the JVM
     * @throws CommandFailedException if it cannot be written there
     */
    static AgentDirectory create(long pid, Properties properties) {
        String temporary = properties.getProperty("java.io.tmpdir", "/tmp");
        try (InputStream jar = AgentDirectory.class.getResourceAsStream(JAR.toString())) {
            if (jar == null) {
                throw new CommandFailedException("this build of ksm has no " + JAR + " in it: build it anew");
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
                            + ": start it with another, or with -javaagent:ksm-agent.jar",
                    e);
        }
    }

    private static String reason(Exception e) {
        if (e instanceof NoSuchFileException) {
            return "there is no such directory";
        }
        if (e instanceof AccessDeniedException) {
            return "no right to write there";
        }
        if (e instanceof NotDirectoryException) {
            return "it is no directory";
        }
        return e instanceof FileSystemException file && file.getReason() != null ? file.getReason() : e.toString();
    }

    /** Empty unless the JVM says that it was one of these, in the place where the next would be, too. */
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
                    // Another one is attached to it: a new place is the second best.
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
        // Whoever may write to the parent may have put another one in its place meanwhile.
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
     * Reads what the agent has written.
     *
     * @throws CommandFailedException if it has not
     */
    Properties readAnswer() throws IOException {
        // It is the other's file, and may hold anything.
        try (SeekableByteChannel file =
                directory.newByteChannel(ANSWER, Set.of(StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS))) {
            byte[] text = Channels.newInputStream(file).readNBytes(MAX_ANSWER_BYTES);
            if (text.length == 0) {
                throw new CommandFailedException("the agent gave no answer: the standard error of the JVM says why");
            }
            Properties answer = new Properties();
            answer.load(new ByteArrayInputStream(text));
            if (!answer.containsKey("error") && !answer.keySet().containsAll(ANSWERS)) {
                throw new CommandFailedException(
                        "the JVM has an agent of another version, whose answer says nothing to this"
                                + " ksm: it stays until the JVM ends");
            }
            return answer;
        } catch (IllegalArgumentException e) {
            throw new CommandFailedException("the answer of the agent is garbage: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        delete();
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException e) {
            return; // It is running.
        }
    }

    private void delete() {
        try (parent;
                directory) {
            deleteIfExists(ANSWER);
            deleteIfExists(JAR);
            parent.deleteDirectory(inside.getFileName());
        } catch (IOException | ClosedDirectoryStreamException e) {
            // Somebody else has put something there, or the JVM's container has ended, and its files with it.
        }
    }

    private void deleteIfExists(Path file) throws IOException {
        try {
            directory.deleteFile(file);
        } catch (NoSuchFileException e) {
            // It was not made yet.
        }
    }
}
