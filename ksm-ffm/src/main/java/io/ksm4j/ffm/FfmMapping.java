// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import io.ksm4j.spi.NativeMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Views that live as long as a shared arena. Closing the arena makes all of them fail, in every thread, before the
 * memory is unmapped. The arena is created with the first view, because closing one costs a handshake with every thread
 * of the JVM.
 */
final class FfmMapping implements NativeMapping {

    /** The value of {@link #state} once views are no longer allowed. */
    private static final Object REVOKED = new Object();

    /** An arena, and the segment that lives as long as it does. */
    private record Views(Arena arena, MemorySegment segment) {}

    private final long address;
    private final long length;
    private final Object owner;

    /** Null, {@link Views} or {@link #REVOKED}. */
    private final AtomicReference<@Nullable Object> state = new AtomicReference<>();

    FfmMapping(long address, long length, Object owner) {
        this.address = address;
        this.length = length;
        this.owner = owner;
    }

    private MemorySegment segment() {
        Object seen = state.get();
        if (seen == null) {
            Arena arena = Arena.ofShared();
            Views made = new Views(arena, mapped(arena));
            if (state.compareAndSet(null, made)) {
                return made.segment();
            }
            arena.close();
            seen = state.get();
        }
        if (seen instanceof Views views) {
            return views.segment();
        }
        throw new IllegalStateException("the region is closed");
    }

    /**
     * Creates the segment. This is safe because the memory stays mapped until the arena is closed: the region unmaps it
     * only then. While a view is reachable, the region is not reclaimed as a leak, because the arena keeps the cleanup
     * action, and thereby the owner, reachable.
     */
    @SuppressWarnings("restricted")
    private MemorySegment mapped(Arena arena) {
        return MemorySegment.ofAddress(address).reinterpret(length, arena, new KeepReachable(owner));
    }

    private record KeepReachable(Object owner) implements Consumer<MemorySegment> {
        @Override
        public void accept(MemorySegment closed) {}
    }

    @Override
    public ByteBuffer buffer(long offset, int size) {
        return segment().asSlice(offset, size).asByteBuffer();
    }

    @Override
    public <T> @Nullable T view(Class<T> type) {
        MemorySegment whole = segment();
        return type == MemorySegment.class ? type.cast(whole) : null;
    }

    @Override
    public boolean revoke() {
        Object seen = state.getAndSet(REVOKED);
        if (seen instanceof Views views) {
            boolean closed = false;
            try {
                views.arena().close();
                closed = true;
            } finally {
                if (!closed && views.arena().scope().isAlive()) {
                    // A native call is using a view, so the region and its views stay open.
                    state.set(views);
                }
            }
        }
        return true;
    }

    @Override
    public void whenUnreachable(Runnable action) {
        action.run();
    }
}
