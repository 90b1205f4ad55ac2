// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;

import com.dynatrace.hash4j.hashing.Hashing;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIf;

/** Reads the pages of an idle process. */
@EnabledIf("mayReadFrames")
class ProcessPagesTest {

    private static final int PAGE = 4096;

    private Process process;
    private List<PrivateMapping> mappings;

    static boolean mayReadFrames() {
        return Files.isReadable(Path.of("/proc/kpageflags"));
    }

    @BeforeEach
    void start() throws IOException {
        // Enough for several threads. A shell that waits for a line changes nothing.
        String script = "x=$(head -c 6000000 /dev/urandom | base64 -w 0); echo; read line";
        process = new ProcessBuilder("sh", "-c", script).start();
        process.getInputStream().read();
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
        List<Long> addresses = new ArrayList<>();
        List<Long> hashes = new ArrayList<>();
        int[] shared = {0};
        ProcessPages.Visitor visitor = new ProcessPages.Visitor() {
            @Override
            public void page(long address, long hash) {
                addresses.add(address);
                hashes.add(hash);
            }

            @Override
            public void sharedPage() {
                shared[0]++;
            }
        };
        ProcessPages.Tally first;
        try (PageFrames frames = new PageFrames();
                ProcessPages pages = new ProcessPages(directory(), PAGE, frames, new ReadProgress())) {
            first = pages.visit(mappings, visitor);
        }

        assertThat(first.ended).isFalse();
        assertThat(first.unread).isZero();
        long anonymous = mappings.stream().mapToLong(PrivateMapping::anonymous).sum();
        assertThat((addresses.size() + shared[0]) * (long) PAGE)
                .isEqualTo(anonymous)
                .isPositive();
        assertThat(addresses).isSorted().doesNotHaveDuplicates().hasSizeGreaterThan(1000);
        assertThat(hashes).isEqualTo(hashesOf(addresses));
    }

    private List<Long> hashesOf(List<Long> addresses) throws IOException {
        List<Long> hashes = new ArrayList<>();
        byte[] page = new byte[PAGE];
        try (RandomAccessFile memory =
                new RandomAccessFile(directory().resolve("mem").toFile(), "r")) {
            for (long address : addresses) {
                memory.seek(address);
                memory.readFully(page);
                hashes.add(Hashing.xxh3_64().hashBytesToLong(page));
            }
        }
        return hashes;
    }

    @Test
    void detectsThatTheProcessHasEnded() throws Exception {
        List<Long> seen = new ArrayList<>();
        try (PageFrames frames = new PageFrames();
                ProcessPages pages = new ProcessPages(directory(), PAGE, frames, new ReadProgress())) {
            process.destroyForcibly().waitFor();

            assertThat(pages.visit(mappings, (address, hash) -> seen.add(address)).ended)
                    .isTrue();
        }
        assertThat(seen).isEmpty();
    }
}
