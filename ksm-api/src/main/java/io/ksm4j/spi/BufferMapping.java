package io.ksm4j.spi;

import io.ksm4j.internal.LateCleaner;
import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A mapping whose views are buffers that cannot be revoked, as JNI's {@code NewDirectByteBuffer} makes them. It counts the
 * buffers that are still reachable: slices and duplicates keep the buffer they came from reachable, so that one is enough to
 * watch.
 */
public final class BufferMapping implements NativeMapping {

    /** Makes a direct buffer over native memory. */
    @FunctionalInterface
    public interface BufferFactory {
        /**
         * Makes a direct buffer.
         *
         * @param address its first byte
         * @param length its capacity
         * @return a new buffer that owns nothing
         */
        ByteBuffer newDirectByteBuffer(long address, int length);
    }

    /** In {@link #views}: no more are made. */
    private static final int REVOKED = Integer.MIN_VALUE;

    private static final LateCleaner CLEANER = new LateCleaner();

    private final long address;
    private final BufferFactory factory;
    private final Object owner;

    /** How many buffers are reachable or being made, with {@link #REVOKED} added once that is so. */
    private final AtomicInteger views = new AtomicInteger();

    private final AtomicReference<@Nullable Runnable> whenUnreachable = new AtomicReference<>();

    /**
     * Creates the mapping's views.
     *
     * @param address start of the mapped memory
     * @param factory makes the buffers
     * @param owner kept reachable while any buffer is
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
            // JNA makes buffers in the machine's order.
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

    /** Holds the owner until the buffer is gone: the cleaner keeps this object, and this object keeps the owner. */
    private record ViewGone(BufferMapping mapping, Object owner) implements Runnable {
        @Override
        public void run() {
            mapping.viewGone();
        }
    }
}
