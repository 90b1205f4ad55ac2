// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.internal.management.SharedTable;
import java.io.IOException;
import java.lang.ref.WeakReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A process with at most 1000 mappings, of which 256 are reserved. */
class MappingReserveTest {

    @TempDir
    private Path proc;

    private final AtomicInteger waiting = new AtomicInteger();

    @BeforeEach
    @AfterEach
    void countAgain() {
        SharedTable.table().mappingsLeft.set(0);
    }

    private MappingReserve reserve(int mappings) throws IOException {
        Files.createDirectories(proc.resolve("self"));
        Files.createDirectories(proc.resolve("sys/vm"));
        Files.writeString(proc.resolve("sys/vm/max_map_count"), "1000\n");
        StringBuilder maps = new StringBuilder();
        for (int i = 0; i < mappings; i++) {
            maps.append(String.format("%x000-%x000 rw-p 00000000 00:00 0%n", 2 * i + 1, 2 * i + 2));
        }
        Files.writeString(proc.resolve("self/maps"), maps);
        return new MappingReserve(new ProcSelf(proc), waiting);
    }

    @Test
    void noneIsTakenFromTheReserve() throws IOException {
        reserve(741).take(3, "mmap", null);
        countAgain();

        assertThatThrownBy(() -> reserve(742).take(3, "mmap", null))
                .isInstanceOfSatisfying(MapCountExceededException.class, e -> {
                    assertThat(e.count()).isEqualTo(742);
                    assertThat(e.limit()).isEqualTo(1000);
                });
    }

    /** A collection clears weak references before it returns. */
    @Test
    void closedRegionsAreCollectedHalfWayToTheLimit() throws IOException {
        waiting.set(251);
        WeakReference<Object> unreachable = new WeakReference<>(new Object());

        reserve(242).take(3, "mmap", null);

        assertThat(unreachable.get()).isNull();
        assertThat(SharedTable.table().mappingsLeft).hasValue((1000 - 256 - 242 - 3) / 4);
    }
}
