// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.internal.StackRoom;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A value in a {@link MergePool}. The block starts on a page boundary and the rest of its last page is zero, so that
 * blocks with equal bytes have equal pages.
 *
 * <p>Bytes are copied in and out. There are no views of a block, because a view could outlive the block and expose the
 * bytes of the next one.
 *
 * <p>Blocks are safe for use by multiple threads. If a block is closed while other threads read or write it, its pages
 * are freed once the last of them is done. A read that runs at the same time as a write of the same bytes returns a
 * mixture of old and new bytes.
 *
 * @since 0.1.0
 */
public final class MergeBlock implements AutoCloseable {

    private static final VarHandle USERS;

    static {
        try {
            USERS = MethodHandles.lookup().findVarHandle(MergeBlock.class, "users", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private static final int CLOSED = Integer.MIN_VALUE;

    private final int size;

    /**
     * Where the block is placed, or is to be placed. Changed by chunks under their lock, and not once other threads can
     * see the block.
     */
    Chunk chunk;

    /** {@link FreePages#NONE} as long as the block has no pages. */
    int firstPage = FreePages.NONE;

    /** The next of the blocks that could not be freed yet. */
    @Nullable
    MergeBlock nextUnfreed;

    /**
     * The number of threads that are reading or writing the bytes, with {@link #CLOSED} added once no more may start.
     */
    @SuppressWarnings("UnusedVariable") // Accessed through USERS.
    private volatile int users;

    MergeBlock(Chunk chunk, int size) {
        this.chunk = chunk;
        this.size = size;
    }

    /** {@return the size of the value in bytes, as requested; also after close} */
    public int size() {
        return size;
    }

    /**
     * Copies bytes into the block.
     *
     * @param offset the offset in the block of the first byte
     * @param source the bytes from its position to its limit; afterwards its position equals its limit
     * @throws IndexOutOfBoundsException if the bytes do not fit. Nothing is copied
     * @throws IllegalStateException if the block or the pool is closed
     */
    public void put(int offset, ByteBuffer source) {
        int length = source.remaining();
        Objects.checkFromIndexSize(offset, length, size);
        enter();
        try {
            if (length > 0) {
                chunk.memory.put(start() + offset, source, source.position(), length);
            }
        } finally {
            leave();
        }
        source.position(source.limit());
    }

    /**
     * Copies bytes into the block.
     *
     * @param offset the offset in the block of the first byte
     * @param source the bytes
     * @throws IndexOutOfBoundsException if the bytes do not fit. Nothing is copied
     * @throws IllegalStateException if the block or the pool is closed
     */
    public void put(int offset, byte[] source) {
        put(offset, ByteBuffer.wrap(source));
    }

    /**
     * Copies bytes out of the block.
     *
     * @param offset the offset in the block of the first byte
     * @param target filled from its position to its limit; afterwards its position equals its limit
     * @throws IndexOutOfBoundsException if the block does not contain that many bytes. Nothing is copied
     * @throws java.nio.ReadOnlyBufferException if the target is read-only
     * @throws IllegalStateException if the block or the pool is closed. Bytes that were already copied are meaningless
     */
    public void get(int offset, ByteBuffer target) {
        int length = target.remaining();
        Objects.checkFromIndexSize(offset, length, size);
        enter();
        try {
            if (length > 0) {
                target.put(target.position(), chunk.memory, start() + offset, length);
            }
            // Memory that was closed during the copy may have read as zeros. If the pool is still open after the fence,
            // everything before it was read while the memory was open.
            VarHandle.acquireFence();
            chunk.pool.requireOpen();
        } finally {
            leave();
        }
        target.position(target.limit());
    }

    /**
     * Copies all bytes out of the block.
     *
     * @return a new array
     * @throws IllegalStateException if the block or the pool is closed
     */
    public byte[] toByteArray() {
        byte[] bytes = new byte[size];
        get(0, ByteBuffer.wrap(bytes));
        return bytes;
    }

    private int start() {
        return firstPage * chunk.pool.pageSize;
    }

    int pages() {
        return chunk.pool.pages(size);
    }

    private void enter() {
        int now;
        do {
            now = (int) USERS.getVolatile(this);
            if (now < 0) {
                throw new IllegalStateException("a block of pool " + chunk.pool + " is closed");
            }
        } while (!USERS.weakCompareAndSet(this, now, now + 1));
        if (!chunk.pool.isOpen()) {
            leave();
            throw chunk.pool.closedException();
        }
    }

    private void leave() {
        if ((int) USERS.getAndAdd(this, -1) - 1 == CLOSED) {
            chunk.pool.free(this);
        }
    }

    /**
     * Closes the block and frees its pages, which another block may then use. Closing a closed block has no effect.
     *
     * <p>If other threads are reading or writing the block, the last of them frees the pages. If freeing them fails,
     * for example for lack of heap memory, the block is closed nevertheless, and the pool tries again when a block is
     * next allocated.
     */
    @Override
    public void close() {
        StackRoom.requireForChange();
        int before = (int) USERS.getAndBitwiseOr(this, CLOSED);
        if (before == 0) {
            chunk.pool.free(this);
        }
    }
}
