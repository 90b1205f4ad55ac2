// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.AddressRange;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.testsupport.RunningJvm;
import io.ksm4j.tools.linux.BackendSearch;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * A process with memory of all kinds. After a line of input, it unmaps what is dense.
 *
 * @param reserved the largest mapping, with few pages
 * @param sparse has more ranges of pages than one call of the kernel finds
 * @param file a private mapping of a file, of which some pages were written
 * @param dense has more pages than one call of the kernel finds
 * @param guarded starts with pages, and then has guards; empty if the kernel has none: before Linux 6.13
 */
record SparseMemory(
        RunningJvm jvm,
        AddressRange reserved,
        AddressRange sparse,
        AddressRange file,
        AddressRange dense,
        Optional<AddressRange> guarded)
        implements AutoCloseable {

    static final long RESERVED_BYTES = 16L << 40;
    static final int RESERVED_PAGES = 100;

    static final long SPARSE_BYTES = 64L << 30;
    static final int SPARSE_PAGES = 2000;

    static final int FILE_PAGES = 64;
    static final int WRITTEN_PAGES = 10;

    static final int DENSE_PAGES = 12_288;

    static final long MAPPED_WITH_GUARDS = 16;
    static final int WRITTEN_BEFORE_GUARDS = 4;
    static final long FIRST_GUARD = 8;
    static final long GUARDS = 3;

    static SparseMemory start() {
        RunningJvm jvm = RunningJvm.start(Holder.class);
        String[] ready = jvm.awaitLineThatContains("ready ").split(" ", -1);
        long page = ProcessPagesTest.PAGE;
        return new SparseMemory(
                jvm,
                new AddressRange(Long.parseLong(ready[1]), RESERVED_BYTES),
                new AddressRange(Long.parseLong(ready[2]), SPARSE_BYTES),
                new AddressRange(Long.parseLong(ready[3]), FILE_PAGES * page),
                new AddressRange(Long.parseLong(ready[4]), DENSE_PAGES * page),
                Optional.of(Long.parseLong(ready[5]))
                        .filter(start -> start > 0)
                        .map(start -> new AddressRange(start, MAPPED_WITH_GUARDS * page)));
    }

    Path directory() {
        return Path.of("/proc", Long.toString(jvm.pid()));
    }

    /** Reading all entries of the largest mapping would take too long. */
    List<PrivateMapping> mappingsWithoutReserved() throws IOException {
        return PrivateMapping.read(directory().resolve("smaps")).stream()
                .filter(mapping -> mapping.end() <= reserved.start() || mapping.start() >= reserved.end())
                .toList();
    }

    /** Returns where the pages of the sparse mapping are. */
    List<Long> sparsePages() {
        return IntStream.range(0, SPARSE_PAGES)
                .mapToObj(i -> sparse.start()
                        + SPARSE_BYTES / SPARSE_PAGES * i / ProcessPagesTest.PAGE * ProcessPagesTest.PAGE)
                .toList();
    }

    @Override
    public void close() {
        jvm.close();
    }

    /** The main class of the process, which prints its addresses. */
    static final class Holder {

        private static final int PROT_NONE = 0;
        private static final int PROT_READ_WRITE = 3;
        private static final int MAP_PRIVATE_ANONYMOUS = 0x22;
        private static final int MAP_NORESERVE = 0x4000;

        private static final int MADV_HUGEPAGE = 14;
        private static final int MADV_NOHUGEPAGE = 15;
        private static final int MADV_PAGEOUT = 21;
        private static final int MADV_GUARD_INSTALL = 102;

        private final KsmBackend kernel = BackendSearch.find().require();
        private final int pageSize = (int) kernel.pageSize();

        private Holder() {}

        public static void main(String[] arguments) throws IOException {
            Holder memory = new Holder();
            long reserved = memory.map(RESERVED_BYTES, MADV_NOHUGEPAGE);
            memory.write(reserved, RESERVED_PAGES, RESERVED_BYTES / RESERVED_PAGES);
            long sparse = memory.map(SPARSE_BYTES, MADV_NOHUGEPAGE);
            memory.write(sparse, SPARSE_PAGES, SPARSE_BYTES / SPARSE_PAGES);
            MappedByteBuffer file = memory.mapFile();
            memory.mapHuge();
            memory.mapPagesWithGaps();
            memory.mapUnwritten();
            memory.mapPagedOut();
            long guards = memory.mapGuards();
            long dense = memory.map((long) DENSE_PAGES * memory.pageSize, MADV_NOHUGEPAGE);
            memory.write(dense, DENSE_PAGES, memory.pageSize);
            System.out.println("ready " + reserved + " " + sparse + " " + memory.kernel.address(file) + " " + dense
                    + " " + guards);
            System.in.read();
            memory.kernel.munmap(dense, (long) DENSE_PAGES * memory.pageSize);
            System.out.println("unmapped");
            System.in.read();
            file.force();
        }

        /** Maps memory behind an inaccessible page, so that it remains a mapping of its own. */
        private long map(long bytes, int advice) {
            long address = kernel.mmap(pageSize + bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS | MAP_NORESERVE);
            if (address < 0) {
                throw new IllegalStateException("errno " + -address);
            }
            kernel.mprotect(address, pageSize, PROT_NONE);
            kernel.madvise(address + pageSize, bytes, advice);
            return address + pageSize;
        }

        /** Writes pages that differ from each other. */
        private void write(long start, int pages, long distance) {
            for (int i = 0; i < pages; i++) {
                page(start + distance * i / pageSize * pageSize).putLong(0, start + i);
            }
        }

        private ByteBuffer page(long address) {
            return kernel.map(address, pageSize, this).buffer(0, pageSize);
        }

        /** Only some pages of the file are written. */
        private MappedByteBuffer mapFile() throws IOException {
            Path path = Files.createTempFile("ksm-pages", null);
            try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                file.write(ByteBuffer.allocate(FILE_PAGES * pageSize));
                MappedByteBuffer mapped = file.map(MapMode.PRIVATE, 0, (long) FILE_PAGES * pageSize);
                for (int i = 0; i < FILE_PAGES; i++) {
                    mapped.get(i * pageSize);
                }
                for (int i = 0; i < WRITTEN_PAGES; i++) {
                    mapped.putInt(3 * i * pageSize, i);
                }
                return mapped;
            } finally {
                Files.delete(path);
            }
        }

        private void mapHuge() {
            write(map((long) DENSE_PAGES * pageSize, MADV_HUGEPAGE), DENSE_PAGES, pageSize);
        }

        private void mapPagesWithGaps() {
            write(map(6000L * pageSize, MADV_NOHUGEPAGE), 3000, 2L * pageSize);
        }

        /** Reading maps zero pages, and huge ones where the kernel has them. */
        private void mapUnwritten() {
            for (int advice : new int[] {MADV_NOHUGEPAGE, MADV_HUGEPAGE}) {
                long start = map(2048L * pageSize, advice);
                page(start).putLong(0, start);
                for (int i = 0; i < 2048; i++) {
                    page(start + (long) i * pageSize).get(0);
                }
            }
        }

        /** On a machine with swap, some pages are there. */
        private void mapPagedOut() {
            long start = map(100L * pageSize, MADV_NOHUGEPAGE);
            write(start, 100, pageSize);
            kernel.madvise(start, 50L * pageSize, MADV_PAGEOUT);
        }

        /** Guards have entries like pages on swap. Returns 0 if the kernel has none: before Linux 6.13. */
        private long mapGuards() {
            long start = map(MAPPED_WITH_GUARDS * pageSize, MADV_NOHUGEPAGE);
            write(start, WRITTEN_BEFORE_GUARDS, pageSize);
            long guards = start + FIRST_GUARD * pageSize;
            return kernel.madvise(guards, GUARDS * pageSize, MADV_GUARD_INSTALL) == 0 ? start : 0;
        }
    }
}
