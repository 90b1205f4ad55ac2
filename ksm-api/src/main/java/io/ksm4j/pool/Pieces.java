// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/** Memory for pieces of values, each of at most a page: {@link WholePages} or {@link Slots}. */
abstract sealed class Pieces permits WholePages, Slots {

    /** The name of no piece. */
    static final int NONE = -1;

    /** Finds equal pieces; null if the pool does not deduplicate. */
    final @Nullable ContentIndex index;

    Pieces(@Nullable ContentHash hash) {
        this.index = hash == null ? null : new ContentIndex(this, hash);
    }

    /**
     * Takes memory for a piece, or throws and takes none.
     *
     * @return the name of the piece, with the bit {@link PageRegion#RETAINED} if its memory has old bytes
     */
    abstract int take(int length);

    /** Gives back the memory of a piece that is not in the index. Cannot fail. */
    abstract void giveBack(int piece);

    /** Returns the memory that contains a piece. */
    abstract ByteBuffer memory(int piece);

    /** Returns the position of a piece in its memory. */
    abstract int position(int piece);

    /** Returns the size of the memory for a piece of this length: the length, rounded up. */
    abstract int size(int length);

    /**
     * Returns whether a piece of the index contains these bytes.
     *
     * @param content the bytes, what a piece contains behind them, and room for another page, which is overwritten
     */
    abstract boolean hasContent(int piece, byte[] content, int length);

    /** Returns the number of blocks that use a piece of the index, or 0 if the piece is not in the index. */
    abstract int references(int piece);

    /** Guarded by the lock of the index for pieces that are in it. */
    abstract void setReferences(int piece, int references);

    abstract int hash(int piece);

    abstract void setHash(int piece, int hash);

    /** Gives back a piece, or the reference to it. Cannot fail. */
    final void free(int piece) {
        if (isLastUse(piece)) {
            giveBack(piece);
        }
    }

    /** Removes a block's use of a piece; returns whether the piece must be given back. */
    final boolean isLastUse(int piece) {
        return index == null || references(piece) == 0 || index.release(piece);
    }
}
