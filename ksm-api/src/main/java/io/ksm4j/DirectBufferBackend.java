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
 * Memory where no native code can be called: direct buffers, with addresses that are made up and never used as addresses.
 * Only the {@link FallbackBackend} stands on it.
 */
final class DirectBufferBackend implements KsmBackend {

    /** No page size can be asked for without native code; this is the most common one. */
    private static final long PAGE_SIZE = 4096;

    /** Above every address that a process has on the common architectures, so that made-up ranges meet no real one. */
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
                    "without a native backend a region holds less than 2 GiB: " + length + " bytes are too many");
        }
        // A direct buffer starts anywhere; one page more than asked for holds a start on a page.
        ByteBuffer memory;
        try {
            memory = ByteBuffer.allocateDirect((int) (length + PAGE_SIZE))
                    .alignedSlice((int) PAGE_SIZE)
                    .slice(0, (int) length);
        } catch (OutOfMemoryError e) {
            // The limit is -XX:MaxDirectMemorySize, not the Java heap, and the caller knows what to say.
            return -Linux.ENOMEM;
        }
        long address = newAddress(length);
        mapped.put(address, memory);
        return address;
    }

    /** A page stays free between any two ranges. */
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

    /** The address of a buffer is unknown, so each time it is asked for, it is a new one. */
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
     * Slices and duplicates of a window keep the buffer that {@code mmap} made reachable, and not the window. So a window that
     * is gone does not say that nobody reads the memory: it is never taken for unreachable, and closing always zeroes it.
     */
    private record DirectMapping(BufferMapping windows) implements NativeMapping {

        @Override
        public ByteBuffer buffer(long offset, int length) {
            return windows.buffer(offset, length);
        }

        @Override
        public <T> @Nullable T view(Class<T> type) {
            return windows.view(type);
        }

        @Override
        public boolean revoke() {
            windows.revoke();
            return false;
        }

        /** What {@code munmap} drops is freed by the garbage collector, once no duplicate reaches it. */
        @Override
        public void whenUnreachable(Runnable action) {
            windows.whenUnreachable(action);
        }
    }
}
