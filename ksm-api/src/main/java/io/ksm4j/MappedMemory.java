package io.ksm4j;

import io.ksm4j.spi.NativeMapping;
import org.jspecify.annotations.Nullable;

/**
 * What one {@code mmap} has returned and one {@code munmap} gives back. Made before the mapping is, so that giving it back, now or later, takes
 * no memory of the Java heap.
 */
final class MappedMemory implements Runnable {

    private final Kernel kernel;
    private long start;
    private long length;

    /** The next in {@link Kernel}'s list of what could not be unmapped yet. */
    @Nullable
    MappedMemory next;

    private MappedMemory(Kernel kernel) {
        this.kernel = kernel;
    }

    /** Maps so many bytes. */
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
     * Gives up all but a range. What cannot be unmapped now stays part of this.
     *
     * <p>Unmapping what is at an edge makes no mapping more.
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
            // It goes with the rest.
        }
    }

    /** Unmaps it, now or, if the kernel refuses, with a later call; throws in that case. */
    void unmap() {
        kernel.unmapOrDefer(this);
    }

    /** Unmaps it when no view is left. */
    void unmapLater(NativeMapping views) {
        kernel.waitingForViews.incrementAndGet();
        views.whenUnreachable(this);
    }

    /** For the thread that finds out that no view is left. */
    @Override
    public void run() {
        kernel.waitingForViews.decrementAndGet();
        unmap();
    }
}
