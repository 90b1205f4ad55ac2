package io.ksm4j.spi;

import java.lang.ref.Cleaner;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
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

    private static final Cleaner VIEWS = Cleaner.create();

    private final long address;
    private final BufferFactory factory;
    private final Object owner;
    private int views;
    private boolean revoked;
    private @Nullable Runnable whenUnreachable;

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
    public synchronized ByteBuffer buffer(long offset, int length) {
        requireNotRevoked();
        // JNA makes buffers in the machine's order.
        ByteBuffer buffer =
                factory.newDirectByteBuffer(address + offset, length).order(ByteOrder.BIG_ENDIAN);
        VIEWS.register(buffer, new ViewGone(this, owner));
        views++;
        return buffer;
    }

    @Override
    public synchronized <T> @Nullable T view(Class<T> type) {
        requireNotRevoked();
        return null;
    }

    @Override
    public synchronized boolean revoke() {
        revoked = true;
        return views == 0;
    }

    @Override
    public void whenUnreachable(Runnable action) {
        synchronized (this) {
            if (views > 0) {
                whenUnreachable = action;
                return;
            }
        }
        action.run();
    }

    private void viewGone() {
        Runnable action;
        synchronized (this) {
            views--;
            if (views > 0 || whenUnreachable == null) {
                return;
            }
            action = whenUnreachable;
            whenUnreachable = null;
        }
        action.run();
    }

    private void requireNotRevoked() {
        if (revoked) {
            throw new IllegalStateException("the region is closed");
        }
    }

    /** Holds the owner until the buffer is gone: the cleaner keeps this object, and this object keeps the owner. */
    private record ViewGone(BufferMapping mapping, Object owner) implements Runnable {
        @Override
        public void run() {
            mapping.viewGone();
        }
    }
}
