package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A memory cgroup of a test's own, of version 2. It is removed when it is closed, with its processes. */
final class Cgroup implements AutoCloseable {

    private static final Path ROOT = Path.of("/sys/fs/cgroup");

    private final Path directory;

    private Cgroup(Path directory) {
        this.directory = directory;
    }

    /** Skips the test where the kernel has none. */
    static Cgroup create(String name) {
        assumeTrue(
                Files.exists(ROOT.resolve("cgroup.subtree_control"))
                        && KernelFiles.text(ROOT.resolve("cgroup.subtree_control"))
                                .contains("memory"),
                "no memory cgroup of version 2 can be made below " + ROOT);
        Path directory =
                ROOT.resolve("ksm4j-" + name + "-" + ProcessHandle.current().pid());
        try {
            return new Cgroup(Files.createDirectory(directory));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    Path directory() {
        return directory;
    }

    /** The command that moves itself into this group and becomes the given one. */
    List<String> commandPrefix() {
        return List.of("sh", "-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\"", directory.toString());
    }

    long usage() {
        return Long.parseLong(
                KernelFiles.text(directory.resolve("memory.current")).strip());
    }

    void write(String file, String text) {
        try {
            Files.writeString(directory.resolve(file), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** A limit that bites: with swap, the kernel would swap first instead of killing. */
    void limitTo(long bytes) {
        if (Files.exists(directory.resolve("memory.swap.max"))) {
            write("memory.swap.max", "0");
        }
        write("memory.max", Long.toString(bytes));
    }

    /** Has the kernel take so much memory from the group's processes, or as much as it can. */
    void reclaim(long bytes) {
        // Not a channel, which takes the kernel's EAGAIN for nothing written and throws a RuntimeException.
        try (OutputStream file =
                new FileOutputStream(directory.resolve("memory.reclaim").toFile())) {
            file.write(Long.toString(bytes).getBytes(StandardCharsets.US_ASCII));
        } catch (IOException e) {
            // It was less.
        }
    }

    @Override
    public void close() {
        for (String pid :
                KernelFiles.text(directory.resolve("cgroup.procs")).lines().toList()) {
            ProcessHandle.of(Long.parseLong(pid)).ifPresent(ProcessHandle::destroyForcibly);
        }
        await().atMost(PATIENCE).ignoreExceptionsInstanceOf(IOException.class).until(() -> {
            Files.delete(directory);
            return true;
        });
    }
}
