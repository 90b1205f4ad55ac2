// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.BackendSearch;
import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Reads the pages of a stopped process. */
@EnabledIf("mayReadFrames")
class ProcessPagesTest {

    static final int PAGE = 4096;

    private static final long ESRCH = 3;
    private static final long EINVAL = 22;
    private static final long ENOTTY = 25;

    /** Stands for the answer of the real kernel. */
    private static final long SCANS = Long.MAX_VALUE;

    private Process process;
    private List<PrivateMapping> mappings;

    static boolean mayReadFrames() {
        return Files.isReadable(Path.of("/proc/kpageflags"));
    }

    @BeforeEach
    void start() throws IOException {
        // Enough for several threads. A stopped shell changes nothing.
        String script = "x=$(head -c 6000000 /dev/urandom | base64 -w 0); kill -STOP $$";
        process = new ProcessBuilder("sh", "-c", script).start();
        Path stat = directory().resolve("stat");
        await().atMost(PATIENCE).until(() -> Files.readString(stat).contains(") T "));
        mappings = PrivateMapping.read(directory().resolve("smaps"));
    }

    private Path directory() {
        return Path.of("/proc", Long.toString(process.pid()));
    }

    @AfterEach
    void stop() {
        process.destroyForcibly();
    }

    @Test
    void visitsEachAnonymousPageOnce() throws IOException {
        RecordedPages pages = RecordedPages.visit(directory(), mappings, Optional.empty());

        assertThat(pages.ended()).isFalse();
        assertThat(pages.unread()).isZero();
        long anonymous = mappings.stream().mapToLong(PrivateMapping::anonymous).sum();
        assertThat((pages.addresses().size() + pages.shared()) * PAGE)
                .isEqualTo(anonymous)
                .isPositive();
        assertThat(pages.addresses()).hasSizeGreaterThan(1000);
        assertThat(pages.hashes()).isEqualTo(hashesOf(pages.addresses()));
    }

    private List<Long> hashesOf(List<Long> addresses) throws IOException {
        List<Long> hashes = new ArrayList<>();
        byte[] page = new byte[PAGE];
        PageHash pageHash = new PageHash();
        try (RandomAccessFile memory =
                new RandomAccessFile(directory().resolve("mem").toFile(), "r")) {
            for (long address : addresses) {
                memory.seek(address);
                memory.readFully(page);
                hashes.add(pageHash.of(ByteBuffer.wrap(page), 0, PAGE));
            }
        }
        return hashes;
    }

    /** How a kernel answers the ioctl; null for one without a backend. */
    private static List<@Nullable Long> answers() {
        return Arrays.asList(null, SCANS, -ENOTTY, -EINVAL, -ESRCH, 0L);
    }

    /** Returns a backend with this answer to the ioctl. */
    private static Optional<KsmBackend> kernel(@Nullable Long answer) {
        KsmBackend real = BackendSearch.find().require();
        InvocationHandler handler = (proxy, method, arguments) -> {
            boolean isIoctl = method.getName().equals("syscall") && arguments[2].equals(PageScan.PAGEMAP_SCAN);
            return isIoctl && answer != null && answer != SCANS ? answer : method.invoke(real, arguments);
        };
        return Optional.ofNullable(answer).map(value -> (KsmBackend)
                Proxy.newProxyInstance(KsmBackend.class.getClassLoader(), new Class<?>[] {KsmBackend.class}, handler));
    }

    @ParameterizedTest
    @MethodSource("answers")
    void detectsThatTheProcessHasEnded(@Nullable Long answer) throws Exception {
        List<Long> seen = new ArrayList<>();
        try (PageFrames frames = new PageFrames();
                ProcessPages pages = new ProcessPages(directory(), PAGE, kernel(answer), frames, new ReadProgress())) {
            process.destroyForcibly().waitFor();

            assertThat(pages.visit(mappings, (address, hash) -> seen.add(address)).ended)
                    .isTrue();
        }
        assertThat(seen).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("answers")
    void keepsWhatWasReadBeforeTheProcessEnded(@Nullable Long answer) throws IOException {
        RecordedPages pages = RecordedPages.visit(directory(), mappings, kernel(answer), this::kill);

        assertThat(pages.ended()).isTrue();
        assertThat(pages.addresses()).isNotEmpty();
        assertThat(pages.unread()).as("of a process that is still there").isZero();
    }

    private void kill() {
        try {
            process.destroyForcibly().waitFor();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    void aFailureOfTheVisitorEndsTheVisit() throws IOException {
        ProcessPages.Visitor visitor = (address, hash) -> {
            throw new CommandFailedException("no room");
        };
        try (PageFrames frames = new PageFrames();
                ProcessPages pages =
                        new ProcessPages(directory(), PAGE, Optional.empty(), frames, new ReadProgress())) {
            assertThatThrownBy(() -> pages.visit(mappings, visitor))
                    .isInstanceOf(CommandFailedException.class)
                    .hasMessage("no room");
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {-ENOTTY, -EINVAL})
    void readsAllEntriesIfTheKernelDoesNotScan(long answer) throws IOException {
        assertThat(RecordedPages.visit(directory(), mappings, kernel(answer)))
                .isEqualTo(RecordedPages.visit(directory(), mappings, Optional.empty()));
    }
}
