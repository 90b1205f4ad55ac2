// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/** A memory cgroup for one test, of version 1 or 2. Closing it kills its processes and removes it. */
public final class MemoryCgroup implements AutoCloseable {

    private static final Path V1 = Path.of("/sys/fs/cgroup/memory");
    private static final Path V2 = Path.of("/sys/fs/cgroup");

    private static final Path CONTROL = V2.resolve("cgroup.subtree_control");

    private static final AtomicInteger CREATED = new AtomicInteger();

    private final Path directory;
    private final boolean unified;

    /** What to write to {@link #CONTROL} at the end; empty if groups below the root could limit memory before. */
    private final String disable;

    private MemoryCgroup(Path directory, boolean unified, String disable) {
        this.directory = directory;
        this.unified = unified;
        this.disable = disable;
    }

    /** Creates a cgroup. Where that is impossible, skips the test, or fails it with {@code -Dksm.required=true}. */
    public static MemoryCgroup create() {
        return create("");
    }

    /** Creates a cgroup whose name ends in bytes that are neither ASCII nor UTF-8. */
    public static MemoryCgroup createWithNameInNoEncoding() {
        return create("%C3%A9%FF");
    }

    /** A URI holds bytes, whatever encoding the locale has for strings. */
    private static MemoryCgroup create(String endOfName) {
        boolean unified = !Files.exists(V1.resolve("memory.limit_in_bytes"));
        String name = "ksm4j-test-" + ProcessHandle.current().pid() + "-" + CREATED.incrementAndGet() + "-";
        try {
            boolean enable = unified && !Files.readString(CONTROL).contains("memory");
            if (enable) {
                Files.writeString(CONTROL, "+memory");
            }
            Path directory =
                    Path.of(URI.create((unified ? V2 : V1).resolve(name).toUri() + endOfName));
            MemoryCgroup cgroup = new MemoryCgroup(directory, unified, enable ? "-memory" : "");
            Files.createDirectory(cgroup.directory);
            return cgroup;
        } catch (IOException e) {
            String reason =
                    "no memory cgroup can be created below /sys/fs/cgroup (as root, with the memory controller): " + e;
            if (Boolean.getBoolean("ksm.required")) {
                return Assertions.fail("-Dksm.required=true, but " + reason, e);
            }
            return Assumptions.abort(reason);
        }
    }

    /** Returns its directory. */
    public Path directory() {
        return directory;
    }

    /** Returns its path up to the first character that is not ASCII. */
    public String asciiPath() {
        return directory.toString().replaceFirst("[^ -~].*", "");
    }

    /** Returns the start of a command that moves itself into this group and becomes the rest of the command. */
    public List<String> commandPrefix() {
        return List.of(
                "sh",
                "-c",
                "for group in \"$0\"*; do echo $$ > \"$group/cgroup.procs\"; done && exec \"$@\"",
                asciiPath());
    }

    /** Returns the bytes in use. */
    public long usage() {
        try {
            String file = unified ? "memory.current" : "memory.usage_in_bytes";
            return Long.parseLong(Files.readString(directory.resolve(file)).trim());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Limits its memory, and its swap to none: otherwise the kernel would swap first instead of killing. */
    public void limitTo(long bytes) {
        String swap = unified ? "memory.swap.max" : "memory.swappiness";
        if (Files.exists(directory.resolve(swap))) {
            write(swap, "0");
        }
        write(unified ? "memory.max" : "memory.limit_in_bytes", Long.toString(bytes));
    }

    /** Writes one of its files. */
    public void write(String file, String text) {
        try {
            Files.writeString(directory.resolve(file), text);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Makes the kernel reclaim this much memory of the group, or as much as it can. Needs version 2. */
    public void reclaim(long bytes) {
        // Not a channel: it takes the kernel's EAGAIN for nothing written, and throws a RuntimeException.
        try (OutputStream file =
                new FileOutputStream(directory.resolve("memory.reclaim").toFile())) {
            file.write(Long.toString(bytes).getBytes(StandardCharsets.US_ASCII));
        } catch (IOException e) {
            // It was less.
        }
    }

    @Override
    public void close() {
        try {
            for (String pid : Files.readAllLines(directory.resolve("cgroup.procs"))) {
                ProcessHandle.of(Long.parseLong(pid)).ifPresent(ProcessHandle::destroyForcibly);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        await().atMost(PATIENCE).ignoreExceptionsInstanceOf(IOException.class).until(() -> {
            Files.delete(directory);
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
