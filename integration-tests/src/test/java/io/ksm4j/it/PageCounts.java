package io.ksm4j.it;

import io.ksm4j.AddressRange;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.stream.LongStream;

/**
 * What lies in a range, counted page by page from {@code pagemap}, {@code kpageflags} and {@code kpagecount}, which take root to
 * read. Another way to the numbers that ksm4j gets from {@code smaps}.
 *
 * @param resident bytes of pages, but for those of zeros
 * @param merged bytes of pages that {@code ksmd} has merged with each other
 * @param zero bytes of pages that are the kernel's page of zeros
 * @param saved of each page that n mappings share, (n-1)/n, in bytes
 */
record PageCounts(long resident, long merged, long zero, double saved) {

    private static final long PRESENT = 1L << 63;
    private static final long FRAME = (1L << 55) - 1;
    private static final long KSM = 1L << 21;
    private static final long ZERO_PAGE = 1L << 24;

    static PageCounts of(AddressRange range, long pageSize) {
        long resident = 0;
        long merged = 0;
        long zero = 0;
        double saved = 0;
        try (RandomAccessFile pagemap = new RandomAccessFile("/proc/self/pagemap", "r");
                RandomAccessFile flags = new RandomAccessFile("/proc/kpageflags", "r");
                RandomAccessFile counts = new RandomAccessFile("/proc/kpagecount", "r")) {
            for (long address = range.start(); address < range.end(); address += pageSize) {
                long entry = entry(pagemap, address / pageSize);
                if ((entry & PRESENT) == 0) {
                    continue;
                }
                long frame = entry & FRAME;
                long flagsOfPage = entry(flags, frame);
                if ((flagsOfPage & ZERO_PAGE) != 0) {
                    zero += pageSize;
                    continue;
                }
                long count = entry(counts, frame);
                resident += pageSize;
                merged += (flagsOfPage & KSM) != 0 ? pageSize : 0;
                saved += pageSize * (count - 1) / (double) count;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return new PageCounts(resident, merged, zero, saved);
    }

    /** The physical pages of a range of a process, in its order, with those of zeros. */
    static LongStream frames(long pid, AddressRange range, long pageSize) {
        LongStream.Builder frames = LongStream.builder();
        try (RandomAccessFile pagemap = new RandomAccessFile("/proc/" + pid + "/pagemap", "r")) {
            for (long address = range.start(); address < range.end(); address += pageSize) {
                long entry = entry(pagemap, address / pageSize);
                if ((entry & PRESENT) != 0) {
                    frames.add(entry & FRAME);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return frames.build();
    }

    private static long entry(RandomAccessFile file, long index) throws IOException {
        byte[] bytes = new byte[Long.BYTES];
        file.seek(index * Long.BYTES);
        file.readFully(bytes);
        return ByteBuffer.wrap(bytes).order(ByteOrder.nativeOrder()).getLong();
    }
}
