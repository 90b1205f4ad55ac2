// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.faults.Faults;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.BufferMapping;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A kernel that records for each page whether it is mapped and mergeable. Any call may throw an injected fault
 * ({@link Faults}).
 */
final class PageModel implements KsmBackend {

    static final int PAGE = 4096;
    static final long FIRST = 0x10_0000_0000L;

    final BitSet mapped = new BitSet();
    final BitSet mergeable = new BitSet();
    private boolean processMergeable;
    private int nextPage;

    /** Addresses of mappings that are reused. */
    private final Deque<Long> again = new ArrayDeque<>();

    private final Map<Long, ByteBuffer> buffers = new HashMap<>();

    /** The buffer from which {@code process_madvise} and names are read. It stays mapped. */
    private final BitSet bufferPages = new BitSet();

    void handOutAgain(long address) {
        again.add(address);
    }

    /** The mapped pages, without the buffers that ksm4j keeps. */
    int mappedPages() {
        BitSet others = (BitSet) mapped.clone();
        others.andNot(bufferPages);
        return others.cardinality();
    }

    List<AddressRange> mergeableRanges() {
        List<AddressRange> ranges = new ArrayList<>();
        for (int from = mergeable.nextSetBit(0); from >= 0; ) {
            int to = mergeable.nextClearBit(from);
            ranges.add(AddressRange.between(address(from), address(to)));
            from = mergeable.nextSetBit(to);
        }
        return ranges;
    }

    private static long address(int page) {
        return FIRST + (long) page * PAGE;
    }

    private static int page(long address) {
        return Math.toIntExact((address - FIRST) / PAGE);
    }

    @Override
    public String name() {
        return "model";
    }

    @Override
    public long pageSize() {
        return PAGE;
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        Faults.call(false);
        long address = again.isEmpty() ? address(nextPage) : again.remove();
        if (address == address(nextPage)) {
            nextPage += (int) (length / PAGE) + 1;
        }
        mapped.set(page(address), page(address + length));
        mergeable.set(page(address), page(address + length), processMergeable);
        // No fault here: a mapping whose address is not returned could not be unmapped.
        return address;
    }

    @Override
    public int munmap(long address, long length) {
        Faults.call(false);
        mapped.clear(page(address), page(address + length));
        mergeable.clear(page(address), page(address + length));
        Faults.call(true);
        return 0;
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        Faults.call(false);
        Faults.call(true);
        return 0;
    }

    @Override
    public int madvise(long address, long length, int advice) {
        Faults.call(false);
        int result = advise(address, length, advice);
        Faults.call(true);
        return result;
    }

    private int advise(long address, long length, int advice) {
        int from = page(address);
        int to = page(address + length);
        if (advice == Linux.MADV_MERGEABLE || advice == Linux.MADV_UNMERGEABLE) {
            BitSet advised = mapped.get(from, to);
            for (int i = advised.nextSetBit(0); i >= 0; i = advised.nextSetBit(i + 1)) {
                mergeable.set(from + i, advice == Linux.MADV_MERGEABLE);
            }
        }
        return mapped.nextClearBit(from) < to ? -Linux.ENOMEM : 0;
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        Faults.call(false);
        if (option == Linux.PR_SET_MEMORY_MERGE) {
            processMergeable = arg2 == 1;
            mergeable.clear();
            if (processMergeable) {
                mergeable.or(mapped);
            }
        }
        Faults.call(true);
        return option == Linux.PR_GET_MEMORY_MERGE && processMergeable ? 1 : 0;
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        if (number != Linux.SYS_PROCESS_MADVISE) {
            return -Linux.ENOSYS;
        }
        Faults.call(false);
        ByteBuffer ranges = buffers.get(arg2).duplicate().order(ByteOrder.nativeOrder());
        long done = 0;
        for (int i = 0; i < arg3; i++) {
            long length = ranges.getLong(16 * i + 8);
            if (advise(ranges.getLong(16 * i), length, (int) arg4) != 0) {
                break;
            }
            done += length;
        }
        Faults.call(true);
        return done;
    }

    @Override
    public long address(ByteBuffer direct) {
        throw new UnsupportedOperationException();
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        if (owner instanceof NativeBuffers) {
            bufferPages.set(page(address), page(address + length));
            ByteBuffer buffer = ByteBuffer.allocate((int) length);
            buffers.put(address, buffer);
            return new BufferMapping(address, (from, size) -> buffer, owner);
        }
        return new BufferMapping(address, (from, size) -> ByteBuffer.allocate(size), owner);
    }
}
