// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

import io.ksm4j.internal.LateCleaner;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A mapping whose views are buffers that cannot be revoked, like those of JNI's {@code NewDirectByteBuffer}. It counts
 * the buffers that are still reachable. Slices and duplicates keep their original buffer reachable, so watching that
 * one is enough.
 *
 * @since 0.1.0
 */
public final class BufferMapping implements NativeMapping {

    /**
     * Creates direct buffers over native memory.
     *
     * @since 0.1.0
     */
    @FunctionalInterface
    public interface BufferFactory {
        /**
         * Creates a direct buffer.
         *
         * @param address the address of its first byte
         * @param length its capacity in bytes
         * @return a new buffer that does not own the memory
         */
        ByteBuffer newDirectByteBuffer(long address, int length);
    }

    /** Set in {@link #views} once no more buffers are created. */
    private static final int REVOKED = Integer.MIN_VALUE;

    private static final LateCleaner CLEANER = new LateCleaner();

    private final long address;
    private final BufferFactory factory;
    private final Object owner;

    /**
     * The number of buffers that are reachable or being created, with {@link #REVOKED} added once the mapping is
     * revoked.
     */
    private final AtomicInteger views = new AtomicInteger();

    private final AtomicReference<@Nullable Runnable> whenUnreachable = new AtomicReference<>();

    /**
     * Creates a mapping.
     *
     * @param address the start of the mapped memory
     * @param factory creates the buffers
     * @param owner kept reachable while any buffer is reachable
     */
    public BufferMapping(long address, BufferFactory factory, Object owner) {
        this.address = address;
        this.factory = factory;
        this.owner = owner;
    }

    @Override
    public ByteBuffer buffer(long offset, int length) {
        Cleaner cleaner = CLEANER.get();
        ViewGone gone = new ViewGone(this, owner);
        int now;
        do {
            now = views.get();
            if (now < 0) {
                throw closed();
            }
        } while (!views.compareAndSet(now, now + 1));
        boolean made = false;
        try {
            // JNA creates buffers in native byte order.
            ByteBuffer buffer =
                    factory.newDirectByteBuffer(address + offset, length).order(ByteOrder.BIG_ENDIAN);
            cleaner.register(buffer, gone);
            made = true;
            return buffer;
        } finally {
            if (!made) {
                viewGone();
            }
        }
    }

    @Override
    public <T> @Nullable T view(Class<T> type) {
        if (views.get() < 0) {
            throw closed();
        }
        return null;
    }

    @Override
    public boolean revoke() {
        int now;
        do {
            now = views.get();
        } while (!views.compareAndSet(now, now | REVOKED));
        return isUnreachable(now);
    }

    @Override
    public void whenUnreachable(Runnable action) {
        whenUnreachable.set(action);
        if (isUnreachable(views.get())) {
            runOnce();
        }
    }

    private void viewGone() {
        if (isUnreachable(views.decrementAndGet())) {
            runOnce();
        }
    }

    private static boolean isUnreachable(int views) {
        return (views & ~REVOKED) == 0;
    }

    private void runOnce() {
        Runnable action = whenUnreachable.getAndSet(null);
        if (action != null) {
            action.run();
        }
    }

    private static IllegalStateException closed() {
        return new IllegalStateException("the region is closed");
    }

    /**
     * Holds the owner until the buffer is unreachable: the cleaner keeps this object, and this object keeps the owner.
     */
    private record ViewGone(BufferMapping mapping, Object owner) implements Runnable {
        @Override
        public void run() {
            mapping.viewGone();
        }
    }
}
