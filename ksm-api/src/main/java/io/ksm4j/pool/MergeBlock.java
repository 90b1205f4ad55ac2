package io.ksm4j.pool;

import io.ksm4j.internal.StackRoom;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A value in a {@link MergePool}: bytes that start on a page. The rest of its last page holds zeros, so that blocks with equal bytes
 * have equal pages.
 *
 * <p>Bytes are copied in and out. There is no view of them, because a view could outlive the block and show another's bytes.
 *
 * <p>Any thread may call any method. A block that is closed while others read or write it goes when the last of them is done. What a
 * reader finds while another thread writes the same bytes is some mixture of old and new.
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

    /** Where it stands, or is to stand: changed by chunks under their lock, and not once somebody else may see the block. */
    Chunk chunk;

    /** {@link FreePages#NONE} as long as it has no pages. */
    int firstPage = FreePages.NONE;

    /** The next of those that could not be freed yet. */
    @Nullable
    MergeBlock nextUnfreed;

    /** How many threads are at the bytes; with {@link #CLOSED} added once nobody else may come. */
    @SuppressWarnings("UnusedVariable") // By USERS.
    private volatile int users;

    MergeBlock(Chunk chunk, int size) {
        this.chunk = chunk;
        this.size = size;
    }

    /**
     * How long the value is.
     *
     * @return bytes, as asked for; also after close
     */
    public int size() {
        return size;
    }

    /**
     * Copies bytes into the block.
     *
     * @param offset where the first goes
     * @param source the bytes from its position to its limit; its position is its limit afterwards
     * @throws IndexOutOfBoundsException if they do not fit; nothing is copied then
     * @throws IllegalStateException if the block, or the pool, is closed
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
     * @param offset where the first goes
     * @param source the bytes
     * @throws IndexOutOfBoundsException if they do not fit; nothing is copied then
     * @throws IllegalStateException if the block, or the pool, is closed
     */
    public void put(int offset, byte[] source) {
        put(offset, ByteBuffer.wrap(source));
    }

    /**
     * Copies bytes out of the block.
     *
     * @param offset the first
     * @param target is filled from its position to its limit; its position is its limit afterwards
     * @throws IndexOutOfBoundsException if the block has not so many; nothing is copied then
     * @throws java.nio.ReadOnlyBufferException if the target is read-only
     * @throws IllegalStateException if the block, or the pool, is closed; what was copied means nothing then
     */
    public void get(int offset, ByteBuffer target) {
        int length = target.remaining();
        Objects.checkFromIndexSize(offset, length, size);
        enter();
        try {
            if (length > 0) {
                target.put(target.position(), chunk.memory, start() + offset, length);
            }
            // Memory that was closed meanwhile may have shown zeros. What was read before the fence was read while it
            // was open.
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
     * @throws IllegalStateException if the block, or the pool, is closed
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
     * Frees the block: its pages go back to the kernel, and may be another block's next. A second call does nothing.
     *
     * <p>If other threads are reading or writing it, the last of them does that. Should giving the pages back fail, for want of heap
     * say, the block is closed all the same, and the pool tries again when a block is next allocated.
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
