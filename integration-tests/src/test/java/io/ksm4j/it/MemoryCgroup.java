package io.ksm4j.it;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/** A memory cgroup of a test's own, of version 1 or 2. It is removed when it is closed, once its processes are gone. */
final class MemoryCgroup implements AutoCloseable {

    private static final Path V1 = Path.of("/sys/fs/cgroup/memory");
    private static final Path V2 = Path.of("/sys/fs/cgroup");

    private static final Path CONTROL = V2.resolve("cgroup.subtree_control");

    private static final AtomicInteger MADE = new AtomicInteger();

    private final Path folder;
    private final boolean unified;

    /** What takes back that groups below the root may limit memory; empty if they might before. */
    private final String disable;

    private MemoryCgroup(Path folder, boolean unified, String disable) {
        this.folder = folder;
        this.unified = unified;
        this.disable = disable;
    }

    /** Skips the test where none can be made, or fails it with {@code -Dksm.required=true}. */
    static MemoryCgroup create() {
        return create("");
    }

    /** One whose name ends in bytes that are not ASCII, and not UTF-8 either. */
    static MemoryCgroup createWithNameInNoEncoding() {
        return create("%C3%A9%FF");
    }

    /** Whatever encoding the locale has for strings, a URI is bytes. */
    private static MemoryCgroup create(String endOfName) {
        boolean unified = !Files.exists(V1.resolve("memory.limit_in_bytes"));
        String name = "ksm4j-test-" + ProcessHandle.current().pid() + "-" + MADE.incrementAndGet() + "-";
        try {
            boolean enable = unified && !Files.readString(CONTROL).contains("memory");
            if (enable) {
                Files.writeString(CONTROL, "+memory");
            }
            Path folder = Path.of(URI.create((unified ? V2 : V1).resolve(name).toUri() + endOfName));
            MemoryCgroup cgroup = new MemoryCgroup(folder, unified, enable ? "-memory" : "");
            Files.createDirectory(cgroup.folder);
            return cgroup;
        } catch (IOException e) {
            String reason =
                    "no memory cgroup can be made below /sys/fs/cgroup (as root, with the memory controller): " + e;
            if (Boolean.getBoolean("ksm.required")) {
                return Assertions.fail("-Dksm.required=true, but " + reason, e);
            }
            return Assumptions.abort(reason);
        }
    }

    Path folder() {
        return folder;
    }

    /** The group's path as far as it is ASCII. */
    String asciiPath() {
        return folder.toString().replaceFirst("[^ -~].*", "");
    }

    /** The command that moves itself into this group and becomes the given one. */
    List<String> commandPrefix() {
        return List.of(
                "sh",
                "-c",
                "for group in \"$0\"*; do echo $$ > \"$group/cgroup.procs\"; done && exec \"$@\"",
                asciiPath());
    }

    long usage() throws IOException {
        String file = unified ? "memory.current" : "memory.usage_in_bytes";
        return Long.parseLong(Files.readString(folder.resolve(file)).trim());
    }

    /** A limit that bites: on a machine with swap, the kernel would swap first instead of killing. */
    void limitTo(long bytes) throws IOException {
        Path swap = folder.resolve(unified ? "memory.swap.max" : "memory.swappiness");
        if (Files.exists(swap)) {
            Files.writeString(swap, "0");
        }
        Files.writeString(folder.resolve(unified ? "memory.max" : "memory.limit_in_bytes"), Long.toString(bytes));
    }

    @Override
    public void close() {
        try {
            for (String pid : Files.readAllLines(folder.resolve("cgroup.procs"))) {
                ProcessHandle.of(Long.parseLong(pid)).ifPresent(ProcessHandle::destroyForcibly);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        await().atMost(PATIENCE).ignoreExceptionsInstanceOf(IOException.class).until(() -> {
            Files.delete(folder);
            return true;
        });
        try {
            if (!disable.isEmpty()) {
                Files.writeString(CONTROL, disable);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
