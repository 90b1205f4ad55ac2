// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.nio.ByteBuffer;
import java.util.NavigableMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** A backend whose memory never merges, and whose calls fail on demand. */
final class FailingBackend implements KsmBackend {

    static final int PAGE = 4096;
    private static final int MADV_DONTNEED = 4;

    final AtomicInteger calls = new AtomicInteger();

    /** What calls do instead of succeeding; null to let them succeed. */
    @Nullable
    LongSupplier failure;

    /** The first call that fails, counted from 1, and the first one after it that succeeds. */
    int failFrom;

    int failTo = Integer.MAX_VALUE;

    /** Run during each {@code mmap}. */
    Runnable whileMapping = () -> {};

    /** Whether writes to the memory fail. */
    boolean readOnly;

    private final NavigableMap<Long, ByteBuffer> mapped = new ConcurrentSkipListMap<>();
    private long nextAddress = 0x7fff_0000_0000L;

    private long answer(long success) {
        int call = calls.incrementAndGet();
        LongSupplier instead = failure;
        return instead != null && call >= failFrom && call < failTo ? instead.getAsLong() : success;
    }

    @Override
    public String name() {
        return "failing";
    }

    @Override
    public long pageSize() {
        return PAGE;
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        whileMapping.run();
        long address = nextAddress;
        nextAddress += length + PAGE;
        return answer(address);
    }

    @Override
    public int munmap(long address, long length) {
        return (int) answer(0);
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        return (int) answer(0);
    }

    @Override
    public int madvise(long address, long length, int advice) {
        int answer = (int) answer(0);
        var memory = mapped.floorEntry(address);
        if (answer == 0 && advice == MADV_DONTNEED && memory != null) {
            int offset = (int) (address - memory.getKey());
            memory.getValue().put(offset, new byte[(int) length]);
        }
        return answer;
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        return (int) answer(0);
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        return answer(0);
    }

    @Override
    public long address(ByteBuffer direct) {
        throw new UnsupportedOperationException();
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        if (answer(0) != 0) {
            throw new IllegalStateException("no mapping");
        }
        ByteBuffer memory = ByteBuffer.allocateDirect((int) length);
        mapped.put(address, memory);
        return new NativeMapping() {
            @Override
            public ByteBuffer buffer(long offset, int size) {
                if (answer(0) != 0) {
                    throw new IllegalStateException("no buffer");
                }
                return readOnly ? memory.asReadOnlyBuffer() : memory.duplicate();
            }

            @Override
            public <T> @Nullable T view(Class<T> type) {
                return null;
            }

            @Override
            public boolean revoke() {
                if (answer(0) != 0) {
                    throw new IllegalStateException("in use");
                }
                return true;
            }

            @Override
            public void whenUnreachable(Runnable action) {
                action.run();
            }
        };
    }
}
