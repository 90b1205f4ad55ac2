package io.ksm4j.ffm;

import io.ksm4j.spi.NativeMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Views whose lifetime is a shared arena's: closing the arena makes all of them fail, on every thread, before the memory goes.
 * The arena is made with the first view, because closing one costs a handshake with every thread of the JVM.
 */
final class FfmMapping implements NativeMapping {

    private final long address;
    private final long length;
    private final Object owner;
    private @Nullable Arena arena;
    private @Nullable MemorySegment segment;
    private boolean revoked;

    FfmMapping(long address, long length, Object owner) {
        this.address = address;
        this.length = length;
        this.owner = owner;
    }

    private synchronized MemorySegment segment() {
        if (revoked) {
            throw new IllegalStateException("the region is closed");
        }
        if (segment == null) {
            arena = Arena.ofShared();
            segment = mapped(arena);
        }
        return segment;
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
    public synchronized boolean revoke() {
        if (arena != null && !revoked) {
            arena.close();
        }
        revoked = true;
        return true;
    }

    @Override
    public void whenUnreachable(Runnable action) {
        action.run();
    }
}
