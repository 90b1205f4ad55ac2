package io.ksm4j.spi;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * Java's access to one mapping. Every view keeps the mapping's owner reachable. All methods may be called by several threads
 * at once.
 */
public interface NativeMapping {

    /**
     * A direct buffer over a part of the mapping, in big-endian order as every new buffer.
     *
     * @param offset first byte of the window
     * @param length bytes in the window; the caller has checked that the window lies inside the mapping
     * @return a new buffer
     * @throws IllegalStateException if the mapping was revoked
     */
    ByteBuffer buffer(long offset, int length);

    /**
     * The whole mapping as a type only this backend knows.
     *
     * @param type the wished-for type
     * @param <T> the wished-for type
     * @return the view, or {@code null} if the backend has no such view
     * @throws IllegalStateException if the mapping was revoked
     */
    <T> @Nullable T view(Class<T> type);

    /**
     * Hands out no further view, and makes those handed out fail if the backend can.
     *
     * @return true if no view can reach the memory any more; false if buffers that cannot be revoked may still be used
     * @throws IllegalStateException if a view is in use by a running native call; then nothing has changed
     */
    boolean revoke();

    /**
     * Runs an action once no view can reach the memory any more: at once, or when the last view is unreachable.
     *
     * @param action run exactly once
     */
    void whenUnreachable(Runnable action);
}
