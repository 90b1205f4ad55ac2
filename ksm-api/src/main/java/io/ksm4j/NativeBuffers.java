package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Native memory for what the kernel reads from there: names, and arrays of ranges. It is mapped and not {@code ByteBuffer.allocateDirect}, so that it is
 * there also when the program has used up {@code -XX:MaxDirectMemorySize}. A few buffers are kept, for good; a program that needs more
 * at once maps more.
 */
final class NativeBuffers {

    /** As many ranges as one {@code process_madvise} takes, of two words each. */
    static final int BYTES = Linux.IOV_MAX * 2 * Long.BYTES;

    /** A buffer that one thread has. The mapping keeps the bytes accessible. */
    record NativeBuffer(long address, ByteBuffer bytes, NativeMapping mapping, Kept kept) {}

    /**
     * Memory that waits for its next use. Its view is held weakly: a view that is reachable has the cleaner keep it, and by it the class loader.
     */
    private static final class Kept {
        private final long address;
        private volatile @Nullable WeakReference<NativeBuffer> buffer;

        Kept(long address) {
            this.address = address;
        }
    }

    private final KsmBackend backend;
    private final AtomicReferenceArray<@Nullable Kept> kept = new AtomicReferenceArray<>(4);

    NativeBuffers(KsmBackend backend) {
        this.backend = backend;
    }

    /** A buffer of {@link #BYTES} bytes in native order, to be given back; null if there is no memory for one. */
    @Nullable
    NativeBuffer take() {
        for (int i = 0; i < kept.length(); i++) {
            Kept memory = kept.getAndSet(i, null);
            if (memory != null) {
                WeakReference<NativeBuffer> last = memory.buffer;
                NativeBuffer buffer = last == null ? null : last.get();
                return buffer == null ? view(memory.address) : buffer;
            }
        }
        long address = backend.mmap(BYTES, Linux.PROT_READ | Linux.PROT_WRITE, Linux.MAP_PRIVATE | Linux.MAP_ANONYMOUS);
        return Linux.failed(address) ? null : view(address);
    }

    private @Nullable NativeBuffer view(long address) {
        try {
            NativeMapping mapping = backend.map(address, BYTES, this);
            Kept memory = new Kept(address);
            NativeBuffer buffer =
                    new NativeBuffer(address, mapping.buffer(0, BYTES).order(ByteOrder.nativeOrder()), mapping, memory);
            memory.buffer = new WeakReference<>(buffer);
            return buffer;
        } catch (Throwable t) {
            backend.munmap(address, BYTES);
            return null;
        }
    }

    void giveBack(NativeBuffer buffer) {
        for (int i = 0; i < kept.length(); i++) {
            if (kept.compareAndSet(i, null, buffer.kept())) {
                return;
            }
        }
        if (buffer.mapping().revoke()) {
            backend.munmap(buffer.address(), BYTES);
        } else {
            // Its bytes are unreachable once this method has returned.
            buffer.mapping().whenUnreachable(() -> backend.munmap(buffer.address(), BYTES));
        }
    }
}
