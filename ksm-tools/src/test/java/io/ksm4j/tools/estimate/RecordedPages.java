// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.spi.KsmBackend;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a visit of a process has found.
 *
 * @param addresses of the pages, in ascending order
 * @param hashes of the pages, in the same order
 * @param shared pages whose frame was already visited
 * @param swapped see {@link ProcessPages.Tally}
 * @param unread see {@link ProcessPages.Tally}
 * @param ended see {@link ProcessPages.Tally}
 */
record RecordedPages(List<Long> addresses, List<Long> hashes, long shared, long swapped, long unread, boolean ended) {

    static RecordedPages visit(Path process, List<PrivateMapping> mappings, Optional<KsmBackend> kernel)
            throws IOException {
        return visit(process, mappings, kernel, () -> {});
    }

    /** Visits the pages, and runs a task before the first one is recorded. */
    static RecordedPages visit(
            Path process, List<PrivateMapping> mappings, Optional<KsmBackend> kernel, Runnable atFirst)
            throws IOException {
        SortedMap<Long, Long> hashes = new TreeMap<>();
        int[] shared = {0};
        ProcessPages.Visitor visitor = new ProcessPages.Visitor() {
            @Override
            public void page(long address, long hash) {
                if (hashes.isEmpty()) {
                    atFirst.run();
                }
                assertThat(hashes.put(address, hash)).as("visited before").isNull();
            }

            @Override
            public void sharedPage() {
                shared[0]++;
            }
        };
        try (PageFrames frames = new PageFrames();
                ProcessPages pages =
                        new ProcessPages(process, ProcessPagesTest.PAGE, kernel, frames, new ReadProgress())) {
            ProcessPages.Tally tally = pages.visit(mappings, visitor);
            return new RecordedPages(
                    List.copyOf(hashes.keySet()),
                    List.copyOf(hashes.values()),
                    shared[0],
                    tally.swapped,
                    tally.unread,
                    tally.ended);
        }
    }
}
