// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
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
 * Native memory from which the kernel reads names and arrays of ranges. It is mapped instead of allocated by
 * {@code ByteBuffer.allocateDirect}, so it is available even when the program has used up
 * {@code -XX:MaxDirectMemorySize}. A few buffers are kept for reuse and never unmapped; more are mapped when a program
 * uses more at the same time.
 */
final class NativeBuffers {

    /** The size of a buffer: room for as many ranges as one {@code process_madvise} accepts, each of two words. */
    static final int BYTES = Linux.IOV_MAX * 2 * Long.BYTES;

    /** A buffer that one thread uses. The mapping keeps the bytes accessible. */
    record NativeBuffer(long address, ByteBuffer bytes, NativeMapping mapping, Kept kept) {}

    /**
     * Memory kept for reuse. Its view is referenced weakly: as long as a view is reachable, the cleaner keeps it, and
     * with it the class loader.
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

    /**
     * Returns a buffer of {@link #BYTES} bytes in native order, to be passed to {@link #giveBack}.
     *
     * @return the buffer; null if there is no memory for one
     */
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
