// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.BufferMapping;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * A backend without native code: memory is direct buffers, and addresses are invented numbers that are never accessed.
 * Used only below {@link FallbackBackend}.
 */
final class DirectBufferBackend implements KsmBackend {

    /** The most common page size; the real one is unknown without native code. */
    private static final long PAGE_SIZE = 4096;

    /**
     * Above the address space of processes on common architectures, so that invented ranges never overlap real ones.
     */
    private static final long FIRST_ADDRESS = 1L << 60;

    private final AtomicLong nextAddress = new AtomicLong(FIRST_ADDRESS);
    private final ConcurrentSkipListMap<Long, ByteBuffer> mapped = new ConcurrentSkipListMap<>();

    @Override
    public String name() {
        return "direct";
    }

    @Override
    public long pageSize() {
        return PAGE_SIZE;
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        if (length > Integer.MAX_VALUE - PAGE_SIZE) {
            throw new UnsupportedOperationException(
                    "without a native backend a region must be smaller than 2 GiB: " + length + " bytes are too many");
        }
        // A direct buffer may start anywhere; with one more page, it contains a page-aligned start.
        ByteBuffer memory;
        try {
            memory = ByteBuffer.allocateDirect((int) (length + PAGE_SIZE))
                    .alignedSlice((int) PAGE_SIZE)
                    .slice(0, (int) length);
        } catch (OutOfMemoryError e) {
            // The limit is -XX:MaxDirectMemorySize, not the Java heap, and the caller explains it.
            return -Linux.ENOMEM;
        }
        long address = newAddress(length);
        mapped.put(address, memory);
        return address;
    }

    /** Leaves a page between any two ranges. */
    private long newAddress(long length) {
        long pages = (length + PAGE_SIZE - 1) / PAGE_SIZE + 1;
        return nextAddress.getAndAdd(pages * PAGE_SIZE);
    }

    @Override
    public int munmap(long address, long length) {
        mapped.remove(address);
        return 0;
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        return 0;
    }

    @Override
    public int madvise(long address, long length, int advice) {
        if (advice == Linux.MADV_DONTNEED) {
            Map.Entry<Long, ByteBuffer> holder = mapped.floorEntry(address);
            if (holder != null) {
                zero(holder.getValue().slice((int) (address - holder.getKey()), (int) length));
            }
        }
        return 0;
    }

    private static void zero(ByteBuffer buffer) {
        while (buffer.remaining() >= Long.BYTES) {
            buffer.putLong(0);
        }
        while (buffer.hasRemaining()) {
            buffer.put((byte) 0);
        }
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        return -Linux.EINVAL;
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        return -Linux.ENOSYS;
    }

    /** Returns a new address every time, since the real address of a buffer is unknown. */
    @Override
    public long address(ByteBuffer direct) {
        return newAddress(direct.capacity());
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        Map.Entry<Long, ByteBuffer> holder = mapped.floorEntry(address);
        ByteBuffer memory = holder.getValue();
        long start = holder.getKey();
        return new DirectMapping(
                new BufferMapping(address, (from, size) -> memory.slice((int) (from - start), size), owner));
    }

    /**
     * Slices and duplicates of a view keep the buffer that {@code mmap} allocated reachable, but not the view. So the
     * memory may still be in use when all views are unreachable: {@link #revoke()} never says that it is not, and
     * closing a region always zeroes it.
     */
    private record DirectMapping(BufferMapping views) implements NativeMapping {

        @Override
        public ByteBuffer buffer(long offset, int length) {
            return views.buffer(offset, length);
        }

        @Override
        public <T> @Nullable T view(Class<T> type) {
            return views.view(type);
        }

        @Override
        public boolean revoke() {
            views.revoke();
            return false;
        }

        /** After {@code munmap}, the garbage collector frees the buffer once no duplicate reaches it. */
        @Override
        public void whenUnreachable(Runnable action) {
            views.whenUnreachable(action);
        }
    }
}
