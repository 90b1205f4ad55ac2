// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.spi.NativeMapping;
import org.jspecify.annotations.Nullable;

/**
 * Memory mapped by one {@code mmap} and unmapped by one {@code munmap}. The object is created before the mapping, so
 * that unmapping, now or later, needs no memory of the Java heap.
 */
final class MappedMemory implements Runnable {

    private final Kernel kernel;
    private long start;
    private long length;

    /** The next element of {@link Kernel}'s list of memory that could not be unmapped yet. */
    @Nullable
    MappedMemory next;

    private MappedMemory(Kernel kernel) {
        this.kernel = kernel;
    }

    static MappedMemory map(Kernel kernel, long length, int protection) {
        MappedMemory memory = new MappedMemory(kernel);
        memory.start = kernel.mmap(length, protection);
        memory.length = length;
        return memory;
    }

    long start() {
        return start;
    }

    long length() {
        return length;
    }

    long end() {
        return start + length;
    }

    /**
     * Unmaps everything except a range. What cannot be unmapped now remains a part of this memory.
     *
     * <p>Unmapping at an edge does not add a mapping.
     */
    void shrinkTo(AddressRange range) {
        try {
            if (start < range.start() && kernel.backend.munmap(start, range.start() - start) == 0) {
                length -= range.start() - start;
                start = range.start();
            }
            if (end() > range.end() && kernel.backend.munmap(range.end(), end() - range.end()) == 0) {
                length -= end() - range.end();
            }
        } catch (Throwable t) {
            // Unmapped with the rest.
        }
    }

    /** Unmaps the memory. If the kernel refuses, throws an exception and leaves the memory to a later call. */
    void unmap() {
        kernel.unmapOrDefer(this);
    }

    /** Unmaps the memory when no view is reachable any more. */
    void unmapLater(NativeMapping views) {
        kernel.waitingForViews.incrementAndGet();
        views.whenUnreachable(this);
    }

    /** Called by the cleaner when no view is reachable any more. */
    @Override
    public void run() {
        kernel.waitingForViews.decrementAndGet();
        unmap();
    }
}
