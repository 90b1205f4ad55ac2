// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * Java's access to one mapping. Every view keeps the owner of the mapping reachable. All methods must be safe for use
 * by multiple threads.
 *
 * @since 0.1.0
 */
public interface NativeMapping {

    /**
     * Returns a direct buffer over part of the mapping, in big-endian order like every new buffer.
     *
     * @param offset the first byte of the part
     * @param length the length of the part in bytes; the caller has checked that the part is inside the mapping
     * @return a new buffer
     * @throws IllegalStateException if the mapping has been revoked
     */
    ByteBuffer buffer(long offset, int length);

    /**
     * Returns the whole mapping as a type specific to this backend.
     *
     * @param type the class of the view
     * @param <T> the type of the view
     * @return the view, or {@code null} if the backend does not support this type
     * @throws IllegalStateException if the mapping has been revoked
     */
    <T> @Nullable T view(Class<T> type);

    /**
     * Stops creating views, and invalidates the existing ones if the backend can do that.
     *
     * @return true if no view can access the memory any more; false if buffers that cannot be revoked may still be in
     *     use
     * @throws IllegalStateException if a running native call is using a view. Nothing has changed
     */
    boolean revoke();

    /**
     * Runs an action once no view can access the memory any more: immediately, or when the last view is unreachable.
     *
     * @param action the action, which is run exactly once
     */
    void whenUnreachable(Runnable action);
}
