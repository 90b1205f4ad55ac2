package io.ksm4j.ffm;

import io.ksm4j.spi.NativeMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Views whose lifetime is a shared arena's: closing the arena makes all of them fail, on every thread, before the memory goes.
 * The arena is made with the first view, because closing one costs a handshake with every thread of the JVM.
 */
final class FfmMapping implements NativeMapping {

    /** What {@link #state} is when no view may be made any more. */
    private static final Object REVOKED = new Object();

    /** The arena with the segment that lives as long as it does. */
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
     * Safe: the memory is mapped until the arena is closed, because only then does the region unmap it; and the region is not
     * reclaimed as forgotten while a view is reachable, because the arena keeps the action to run at its end.
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
                    // A native call is using a view: the region stays open, and so do its views.
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
