// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeRegion;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.RegionStats;
import io.ksm4j.testsupport.Patience;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.TinyIntVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorLoader;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.VectorUnloader;
import org.apache.arrow.vector.ipc.ArrowStreamReader;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.message.ArrowRecordBatch;
import org.apache.arrow.vector.types.Types.MinorType;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The tables of tenants that read the same stream consist of equal pages, which the kernel merges. */
@EnabledIfKsm
class MergedStreamsTest {

    private static final Schema SCHEMA = new Schema(List.of(
            new Field("id", FieldType.notNullable(MinorType.BIGINT.getType()), List.of()),
            new Field("flag", FieldType.nullable(MinorType.TINYINT.getType()), List.of()),
            new Field("name", FieldType.nullable(ArrowType.Utf8.INSTANCE), List.of())));

    private static final int ROWS = 200_000;

    /** What a tenant keeps of a stream. */
    private record Table(RootAllocator allocator, List<ArrowRecordBatch> batches) implements AutoCloseable {

        static Table read(MergeableMemory memory, byte[] stream) throws IOException {
            RootAllocator allocator = MergeableMemoryTest.allocator(memory);
            List<ArrowRecordBatch> batches = new ArrayList<>();
            try (ArrowStreamReader reader = new ArrowStreamReader(new ByteArrayInputStream(stream), allocator)) {
                while (reader.loadNextBatch()) {
                    batches.add(new VectorUnloader(reader.getVectorSchemaRoot()).getRecordBatch());
                }
            }
            return new Table(allocator, batches);
        }

        byte[] write() throws IOException {
            ByteArrayOutputStream stream = new ByteArrayOutputStream();
            try (VectorSchemaRoot rows = VectorSchemaRoot.create(SCHEMA, allocator);
                    ArrowStreamWriter writer = new ArrowStreamWriter(rows, null, Channels.newChannel(stream))) {
                for (ArrowRecordBatch batch : batches) {
                    new VectorLoader(rows).load(batch);
                    writer.writeBatch();
                }
                writer.end();
            }
            return stream.toByteArray();
        }

        @Override
        public void close() {
            batches.forEach(ArrowRecordBatch::close);
            allocator.close();
        }
    }

    /** A stream of rows that no other process has. */
    private static byte[] stream(BufferAllocator allocator, int rowsPerBatch) throws IOException {
        Random random = new SecureRandom();
        ByteArrayOutputStream stream = new ByteArrayOutputStream();
        try (VectorSchemaRoot rows = VectorSchemaRoot.create(SCHEMA, allocator);
                ArrowStreamWriter writer = new ArrowStreamWriter(rows, null, Channels.newChannel(stream))) {
            for (int done = 0; done < ROWS; done += rowsPerBatch) {
                rows.allocateNew();
                byte[] name = new byte[20];
                for (int i = 0; i < rowsPerBatch; i++) {
                    ((BigIntVector) rows.getVector("id")).setSafe(i, random.nextLong());
                    ((TinyIntVector) rows.getVector("flag")).setSafe(i, random.nextInt(128));
                    if (i % 7 != 0) {
                        random.nextBytes(name);
                        ((VarCharVector) rows.getVector("name")).setSafe(i, name, 0, i % 20);
                    }
                }
                rows.setRowCount(rowsPerBatch);
                writer.writeBatch();
            }
            writer.end();
        }
        return stream.toByteArray();
    }

    /** Returns what the tables of all tenants occupy. */
    private static long occupied(MergeableMemory memory, RunningKsmd ksmd) throws InterruptedException {
        memory.trim();
        MergeOutcome outcome =
                Ksm.system().awaitMerged(memory.regions(), mergingShare(memory, ksmd), Patience.PATIENCE);
        assertThat(outcome.isReached()).as("%s", outcome).isTrue();
        RegionStats stats = memory.mergeStats();
        return stats.residentBytes() - stats.savedBytes();
    }

    /**
     * Returns the share of pages that merge in any case. The kernel keeps one page for at most {@code max_page_sharing}
     * equal ones. If there are more, a single one may be left over.
     */
    private static double mergingShare(MergeableMemory memory, RunningKsmd ksmd) {
        Collection<Integer> copies = pages(memory).values();
        assertThat(copies).allMatch(count -> count > 1);
        long maxSharing = ksmd.read("max_page_sharing");
        long leftOver = copies.stream().filter(count -> count > maxSharing).count();
        long all = copies.stream().mapToLong(Integer::longValue).sum();
        return 1 - (double) leftOver / all;
    }

    /** Returns the hashes of pages that are not only zeros, and how many pages have each. */
    private static Map<Integer, Integer> pages(MergeableMemory memory) {
        int size = (int) Ksm.system().pageSize();
        ByteBuffer zeros = ByteBuffer.allocate(size);
        Map<Integer, Integer> pages = new HashMap<>();
        for (MergeRegion region : memory.regions()) {
            for (int at = 0; at < region.size(); at += size) {
                ByteBuffer page = region.buffer(at, size);
                if (!page.equals(zeros)) {
                    pages.merge(page.hashCode(), 1, Integer::sum);
                }
            }
        }
        return pages;
    }

    @ParameterizedTest
    @ValueSource(ints = {200_000, 20_000, 500})
    void tenantsThatReadTheSameStreamHaveEqualPages(int rowsPerBatch) throws IOException {
        try (MergeableMemory memory = MergeableMemory.of(Ksm.system())) {
            byte[] stream;
            try (RootAllocator allocator = MergeableMemoryTest.allocator(memory)) {
                stream = stream(allocator, rowsPerBatch);
            }
            try (Table one = Table.read(memory, stream)) {
                memory.trim();
                Map<Integer, Integer> ofOne = pages(memory);
                assertThat(ofOne)
                        .hasSizeGreaterThan(
                                stream.length / 2 / (int) Ksm.system().pageSize());
                assertThat(one.batches()).hasSize(ROWS / rowsPerBatch);
                try (Table other = Table.read(memory, stream)) {
                    memory.trim();
                    ofOne.replaceAll((page, count) -> 2 * count);
                    assertThat(pages(memory)).isEqualTo(ofOne);
                    assertThat(other.write()).isEqualTo(stream);
                }
            }
        }
    }

    @EnabledIfKsm(control = true)
    @ParameterizedTest
    @ValueSource(ints = {200_000, 20_000, 500})
    void tenantsThatReadTheSameStreamMergeCompletely(int rowsPerBatch, RunningKsmd ksmd)
            throws IOException, InterruptedException {
        try (MergeableMemory memory = MergeableMemory.of(Ksm.system())) {
            byte[] stream;
            try (RootAllocator allocator = MergeableMemoryTest.allocator(memory)) {
                stream = stream(allocator, rowsPerBatch);
            }
            List<Table> tenants = new ArrayList<>();
            try {
                while (tenants.size() < 4) {
                    tenants.add(Table.read(memory, stream));
                }
                memory.trim();
                long bytesOfTenant = memory.mergeStats().residentBytes() / 4;
                assertThat(bytesOfTenant).isBetween((long) stream.length / 2, 2L * stream.length);
                long before = occupied(memory, ksmd);
                tenants.add(Table.read(memory, stream));
                assertThat(occupied(memory, ksmd) - before)
                        .as("the cost of one more tenant, of %d bytes", bytesOfTenant)
                        .isLessThanOrEqualTo(bytesOfTenant * 3 / 100);
                for (Table tenant : tenants) {
                    assertThat(tenant.write()).isEqualTo(stream);
                }
            } finally {
                tenants.forEach(Table::close);
            }
        }
    }
}
