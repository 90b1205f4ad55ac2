package io.ksm4j.tools;

import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Properties;
import org.jspecify.annotations.Nullable;

/**
 * A folder for the agent's jar, and for its answer, where a JVM sees it, which may be in a container. It is gone when this is closed:
 * the JVM has the jar open by then.
 *
 * <p>A JVM that was attached to before gets it in the same place again. Each other place would stay on its class path. Nobody can have put
 * something else there: the folder must be new.
 */
final class AgentFolder implements AutoCloseable {

    private static final String JAR = "ksm-agent.jar";
    private static final String ANSWER = "answer";

    /** Set by the agent. */
    private static final String FOLDER_PROPERTY = "io.ksm4j.agent.folder";

    private static final long LONGEST_ANSWER = 64 << 10;

    /** As this process sees it, and as the JVM does. */
    private final Path outside;

    private final Path inside;
    private final Thread atExit = new Thread(this::delete);

    private AgentFolder(Path outside, Path inside) {
        this.outside = outside;
        this.inside = inside;
    }

    /**
     * Makes one.
     *
     * @param properties the system properties of the JVM
     * @throws CommandFailedException if it cannot be written there
     */
    static AgentFolder create(long pid, Properties properties) throws IOException {
        Path root = Path.of("/proc", Long.toString(pid), "root");
        Path parent = Path.of(properties.getProperty("user.dir", "/"))
                .resolve(properties.getProperty("java.io.tmpdir", "/tmp"))
                .toAbsolutePath();
        try (InputStream jar = AgentFolder.class.getResourceAsStream(JAR)) {
            if (jar == null) {
                throw new CommandFailedException("this build of ksm has no " + JAR + " in it: build it anew");
            }
            AgentFolder folder = createEmpty(root, parent, properties.getProperty(FOLDER_PROPERTY));
            Runtime.getRuntime().addShutdownHook(folder.atExit);
            try {
                Files.copy(jar, folder.outside.resolve(JAR));
                folder.giveTo((Integer) Files.getAttribute(Path.of("/proc", Long.toString(pid)), "unix:uid"));
                return folder;
            } catch (IOException | RuntimeException e) {
                folder.close();
                throw e;
            }
        } catch (IOException e) {
            throw new CommandFailedException(
                    "cannot put the agent into " + parent + " of JVM " + pid + " (" + e
                            + "): start the JVM with -javaagent:ksm-agent.jar",
                    e);
        }
    }

    private static AgentFolder createEmpty(Path root, Path parent, @Nullable String again) throws IOException {
        if (again != null) {
            Path inside = Path.of(again);
            try {
                Path outside = Files.createDirectory(
                        below(root, inside),
                        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
                return new AgentFolder(outside, inside);
            } catch (IOException e) {
                // Another one is attached to it, or the parent has gone: a new place is the second best.
            }
        }
        Path outside = Files.createTempDirectory(below(root, parent), "ksm-attach");
        return new AgentFolder(outside, parent.resolve(outside.getFileName()));
    }

    private static Path below(Path root, Path absolute) {
        return root.resolve(Path.of("/").relativize(absolute));
    }

    /** Root makes folders that nobody else may look into. */
    private void giveTo(int user) throws IOException {
        if ((Integer) Files.getAttribute(outside, "unix:uid") != user) {
            Files.setAttribute(outside.resolve(JAR), "unix:uid", user);
            Files.setAttribute(outside, "unix:uid", user);
        }
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
        Path file = outside.resolve(ANSWER);
        // It is the other's file, and may be anything.
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS) || Files.size(file) > LONGEST_ANSWER) {
            throw new CommandFailedException("the agent gave no answer: the standard error of the JVM says why");
        }
        Properties answer = new Properties();
        try (InputStream in = Channels.newInputStream(
                Files.newByteChannel(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS))) {
            answer.load(in);
        } catch (IllegalArgumentException e) {
            throw new CommandFailedException("the answer of the agent is garbage: " + e.getMessage(), e);
        }
        return answer;
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
        try {
            Files.deleteIfExists(outside.resolve(ANSWER));
            Files.deleteIfExists(outside.resolve(JAR));
            Files.deleteIfExists(outside);
        } catch (IOException e) {
            // The JVM has ended, and its root with it, or somebody else has put something there.
        }
    }
}
