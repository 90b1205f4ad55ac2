// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.internal.StackRoom;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ReadOnlyBufferException;
import java.util.Objects;

/**
 * A value in a {@link MergePool}. In the layout {@link Layout#PAGES} it starts on a page boundary, and the rest of its
 * last page is zero, so that values with equal bytes have equal pages.
 *
 * <p>Bytes are copied in and out. There are no views of a block, because a view could outlive the block and expose the
 * bytes of the next one, and because blocks of a deduplicating pool share pages.
 *
 * <p>A block is either open for writing, as {@link MergePool#allocate} returns it, or sealed. A block that
 * {@link MergePool#store(byte[])} returns is sealed if the pool deduplicates.
 *
 * <p>Blocks are safe for use by multiple threads. If a block is closed while other threads read or write it, its pages
 * are freed once the last of them is done. A read that runs at the same time as a write of the same bytes returns a
 * mixture of old and new bytes.
 *
 * @since 0.1.0
 */
public abstract sealed class MergeBlock implements AutoCloseable {

    private static final VarHandle STATE;

    static {
        try {
            STATE = MethodHandles.lookup().findVarHandle(MergeBlock.class, "state", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /*
     * The state word. A block has 24 bytes on the heap, of which the word has 4:
     *
     *    31      30      29        28            12 11             0
     *   +-------+-------+---------+----------------+---------------+
     *   |closed |sealed |sealing  | size of OnePiece| users         |
     *   +-------+-------+---------+----------------+---------------+
     *
     * Users are the threads that read, write or seal the block at this moment. The last one frees a closed block.
     */
    private static final int CLOSED = 1 << 31;
    private static final int SEALED = 1 << 30;
    private static final int SEALING = 1 << 29;
    private static final int SIZE_SHIFT = 12;
    private static final int USERS = (1 << SIZE_SHIFT) - 1;
    private static final int SIZE = (1 << 17) - 1;

    /** The largest value that {@link OnePiece} can have. */
    static final int MAX_ONE_PIECE = 1 << 16;

    final BlockStore store;

    private volatile int state;

    private MergeBlock(BlockStore store, int state) {
        this.store = store;
        this.state = state;
    }

    /** Creates a block that has no memory yet. */
    static MergeBlock create(BlockStore store, int size) {
        int pieces = store.pieces(size);
        return pieces <= 1 && size <= MAX_ONE_PIECE ? new OnePiece(store, size) : new ManyPieces(store, size, pieces);
    }

    /** A block of at most one piece. */
    private static final class OnePiece extends MergeBlock {

        private int piece = Pieces.NONE;

        OnePiece(BlockStore store, int size) {
            super(store, size << SIZE_SHIFT);
        }

        @Override
        public int size() {
            return super.state >>> SIZE_SHIFT & SIZE;
        }

        @Override
        int piece(int index) {
            return piece;
        }

        @Override
        void setPiece(int index, int piece) {
            this.piece = piece;
        }
    }

    /** A block of any number of pieces. */
    private static final class ManyPieces extends MergeBlock {

        private final int size;
        private final int[] pieces;

        ManyPieces(BlockStore store, int size, int pieces) {
            super(store, 0);
            this.size = size;
            this.pieces = new int[pieces];
        }

        @Override
        public int size() {
            return size;
        }

        @Override
        int piece(int index) {
            return pieces[index];
        }

        @Override
        void setPiece(int index, int piece) {
            pieces[index] = piece;
        }
    }

    /** {@return the size of the value in bytes, as requested; also after close} */
    public abstract int size();

    abstract int piece(int index);

    /** Sets a piece, before other threads can see the block, or while it is being sealed. */
    abstract void setPiece(int index, int piece);

    /**
     * Copies bytes into the block.
     *
     * @param offset the offset in the block of the first byte
     * @param source the bytes from its position to its limit; afterwards its position equals its limit
     * @throws IndexOutOfBoundsException if the bytes do not fit. Nothing is copied
     * @throws ReadOnlyBufferException if the block is sealed. Nothing is copied
     * @throws IllegalStateException if the block or the pool is closed, or another thread is sealing the block
     */
    public void put(int offset, ByteBuffer source) {
        int length = source.remaining();
        Objects.checkFromIndexSize(offset, length, size());
        StackRoom.requireForBlock();
        enter(true);
        try {
            store.write(this, offset, source, length);
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
     * @throws ReadOnlyBufferException if the block is sealed. Nothing is copied
     * @throws IllegalStateException if the block or the pool is closed, or another thread is sealing the block
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
     * @throws ReadOnlyBufferException if the target is read-only
     * @throws IllegalStateException if the block or the pool is closed, or another thread is sealing the block. Bytes
     *     that were already copied are meaningless
     */
    public void get(int offset, ByteBuffer target) {
        int length = target.remaining();
        Objects.checkFromIndexSize(offset, length, size());
        // If another thread closes the block in the meantime, this one frees it.
        StackRoom.requireForBlock();
        enter(false);
        try {
            store.read(this, offset, target, length);
            // Memory that was closed during the copy may have read as zeros. If the pool is still open after the fence,
            // everything before it was read while the memory was open.
            VarHandle.acquireFence();
            store.pages.requireOpen();
        } finally {
            leave();
        }
        target.position(target.limit());
    }

    /**
     * Copies all bytes out of the block.
     *
     * @return a new array
     * @throws IllegalStateException if the block or the pool is closed, or another thread is sealing the block
     */
    public byte[] toByteArray() {
        byte[] bytes = new byte[size()];
        get(0, ByteBuffer.wrap(bytes));
        return bytes;
    }

    /**
     * Makes the block read-only. If the pool deduplicates, the block shares equal pages with other blocks from now on.
     * Sealing a sealed block has no effect.
     *
     * @throws IllegalStateException if the block or the pool is closed, or another thread is reading, writing or
     * sealing the block. The block is not sealed
     */
    public void seal() {
        StackRoom.requireForBlock();
        int now;
        do {
            now = state;
            if (now >= 0 && (now & SEALED) != 0) {
                return;
            }
            requireUsable(now);
            if ((now & USERS) != 0) {
                throw new IllegalStateException(
                        "a block of pool " + store.pages + " cannot be sealed while another thread reads or writes it");
            }
        } while (!STATE.weakCompareAndSet(this, now, (now | SEALING) + 1));
        try {
            store.pages.requireOpen();
            store.share(this);
            STATE.getAndBitwiseOr(this, SEALED);
        } finally {
            STATE.getAndBitwiseAnd(this, ~SEALING);
            leave();
        }
    }

    /** {@return whether the block is sealed} */
    public boolean isSealed() {
        return (state & SEALED) != 0;
    }

    /** Called before other threads can see the block. */
    void setSealed() {
        state |= SEALED;
    }

    private void enter(boolean toWrite) {
        int now;
        do {
            now = state;
            while ((now & USERS) == USERS) {
                Thread.onSpinWait();
                now = state;
            }
            requireUsable(now);
            if (toWrite && (now & SEALED) != 0) {
                throw new ReadOnlyBufferException();
            }
        } while (!STATE.weakCompareAndSet(this, now, now + 1));
        if (!store.pages.isOpen()) {
            leave();
            throw store.pages.closedException();
        }
    }

    private void requireUsable(int now) {
        if (now < 0) {
            throw new IllegalStateException("a block of pool " + store.pages + " is closed");
        }
        if ((now & SEALING) != 0) {
            throw new IllegalStateException("a block of pool " + store.pages + " is being sealed by another thread");
        }
    }

    private void leave() {
        int before = (int) STATE.getAndAdd(this, -1);
        if (before < 0 && (before & USERS) == 1) {
            store.free(this);
        }
    }

    /**
     * Closes the block and frees its pages, which another block may then use. A page that other blocks share is freed
     * with the last of them. Closing a closed block has no effect.
     *
     * <p>If other threads are reading or writing the block, the last of them frees the pages.
     */
    @Override
    public void close() {
        StackRoom.requireForBlock();
        int before = (int) STATE.getAndBitwiseOr(this, CLOSED);
        if (before >= 0 && (before & USERS) == 0) {
            store.free(this);
        }
    }
}
