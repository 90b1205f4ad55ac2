// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.MergeRegion;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The blocks of a pool, from one {@link MergePool#clear} to the next. The value of a block consists of pieces: a page
 * each and, for the last one, what is left. In the layout {@code PACKED}, a last piece that does not fill a page has a
 * slot.
 *
 * <h2>Storing a value</h2>
 *
 * <p>Each piece of the value is copied to the heap, filled up with zeros, combined with the pad of the domain, and
 * looked up in the {@link ContentIndex}. If there is no equal piece, memory is taken and written, and added to the
 * index unless another thread has added an equal piece since then. Only then does the block become visible, so that a
 * failure at any point gives back what was taken.
 *
 * <h2>Blocks that can be written</h2>
 *
 * <p>{@link #allocate} gives a block pieces of its own, whose number of references is 0: they are not in the index.
 * {@link #share} looks up each of them when the block is sealed.
 */
final class BlockStore {

    final Pages pages;

    /** The store that this one has replaced, until all its regions are closed. Guarded by the pool. */
    @Nullable
    BlockStore previous;

    private final int pageSize;
    private final WholePages wholePages;

    /** For last pieces; null if they have whole pages, too. */
    private final @Nullable Slots slots;

    private final @Nullable Pad pad;
    private final byte[] emptyPage;
    private final Scratch scratch;
    private final Counters counters = new Counters();

    BlockStore(PoolSettings settings) {
        this.pageSize = settings.pageSize();
        this.pad = settings.pad();
        this.emptyPage = new byte[pageSize];
        combineWithPad(emptyPage, 0, pageSize);
        this.scratch = new Scratch(2 * pageSize);
        this.pages = new Pages(settings);
        boolean done = false;
        try {
            this.wholePages = new WholePages(pages, settings.hash());
            this.slots = settings.isPacked() ? new Slots(pages, settings.hash()) : null;
            done = true;
        } finally {
            if (!done) {
                pages.close();
            }
        }
    }

    /** Returns the number of pieces of a value. */
    int pieces(int size) {
        return (int) (((long) size + pageSize - 1) / pageSize);
    }

    private boolean hasSlot(int size) {
        return slots != null && size % pageSize != 0;
    }

    /** Returns where a piece of a value is. */
    private Pieces kind(int size, int index) {
        Slots slots = this.slots;
        return slots != null && (long) (index + 1) * pageSize > size ? slots : wholePages;
    }

    private int length(int size, int index) {
        return Math.min(pageSize, size - index * pageSize);
    }

    MergeBlock allocate(int size) {
        // Created first, because what follows needs no heap memory.
        MergeBlock block = MergeBlock.create(this, size);
        int[] taken = take(size);
        boolean done = false;
        try {
            for (int i = 0; i < taken.length; i++) {
                Pieces kind = kind(size, i);
                int piece = taken[i] & ~PageRegion.RETAINED;
                if (pad != null || taken[i] != piece) {
                    kind.memory(piece).put(kind.position(piece), emptyPage, 0, kind.size(length(size, i)));
                }
                setUnindexed(kind, piece);
                block.setPiece(i, piece);
            }
            done = true;
        } finally {
            if (!done) {
                giveBack(size, taken, taken.length);
            }
        }
        return counted(block);
    }

    /** Stores a copy of a value. Does not change the position of the value. */
    MergeBlock store(ByteBuffer value) {
        MergeBlock block = MergeBlock.create(this, value.remaining());
        if (wholePages.index == null && pad == null) {
            storeAsIs(value, block);
        } else {
            storePieces(value, block);
        }
        return counted(block);
    }

    private void storeAsIs(ByteBuffer value, MergeBlock block) {
        int size = block.size();
        int[] taken = take(size);
        boolean done = false;
        try {
            for (int i = 0; i < taken.length; i++) {
                Pieces kind = kind(size, i);
                int piece = taken[i] & ~PageRegion.RETAINED;
                int length = length(size, i);
                ByteBuffer memory = kind.memory(piece);
                int position = kind.position(piece);
                memory.put(position, value, value.position() + i * pageSize, length);
                int rest = kind.size(length) - length;
                if (rest > 0 && piece != taken[i]) {
                    memory.put(position + length, emptyPage, 0, rest);
                }
                block.setPiece(i, piece);
            }
            done = true;
        } finally {
            if (!done) {
                giveBack(size, taken, taken.length);
            }
        }
    }

    private void storePieces(ByteBuffer value, MergeBlock block) {
        int size = block.size();
        int pieces = pieces(size);
        byte[] content = scratch.take();
        int done = 0;
        try {
            while (done < pieces) {
                Pieces kind = kind(size, done);
                int length = length(size, done);
                int stored = kind.size(length);
                value.get(value.position() + done * pageSize, content, 0, length);
                Arrays.fill(content, length, stored, (byte) 0);
                combineWithPad(content, 0, stored);
                ContentIndex index = kind.index;
                block.setPiece(
                        done,
                        index == null ? newPiece(kind, content, length) : indexedPiece(kind, index, content, length));
                done++;
            }
        } finally {
            scratch.giveBack(content);
            for (int i = 0; done < pieces && i < done; i++) {
                kind(size, i).free(block.piece(i));
            }
        }
        if (wholePages.index != null) {
            block.setSealed();
        }
    }

    private MergeBlock counted(MergeBlock block) {
        count(block, 1);
        // Any thread that gets the block sees its pieces, even if it was passed on through a data race.
        VarHandle.releaseFence();
        return block;
    }

    private void count(MergeBlock block, int sign) {
        int size = block.size();
        counters.add(Counters.BLOCKS, sign);
        counters.add(Counters.VALUE_BYTES, (long) sign * size);
        int pieces = pieces(size);
        long logical = (long) pieces * pageSize;
        if (hasSlot(size)) {
            int last = length(size, pieces - 1);
            logical += kind(size, pieces - 1).size(last) - pageSize;
        }
        counters.add(Counters.LOGICAL_BYTES, sign * logical);
    }

    /** Returns a piece of the index with the given bytes. */
    private int indexedPiece(Pieces kind, ContentIndex index, byte[] content, int length) {
        int hash = index.hash(content, kind.size(length));
        int found = index.find(hash, content, length);
        if (found != Pieces.NONE) {
            counters.add(Counters.SHARED_STORES, 1);
            return found;
        }
        int piece = newPiece(kind, content, length);
        boolean done = false;
        try {
            int kept = index.findOrAdd(piece, hash, content, length);
            done = kept == piece || kept == Pieces.NONE;
            if (!done) {
                counters.add(Counters.SHARED_STORES, 1);
            }
            return kept == Pieces.NONE ? piece : kept;
        } finally {
            if (!done) {
                kind.giveBack(piece);
            }
        }
    }

    /** Returns a new piece with the given bytes, which is not in the index. */
    private int newPiece(Pieces kind, byte[] content, int length) {
        int piece = kind.take(length) & ~PageRegion.RETAINED;
        boolean done = false;
        try {
            kind.memory(piece).put(kind.position(piece), content, 0, kind.size(length));
            setUnindexed(kind, piece);
            done = true;
            return piece;
        } finally {
            if (!done) {
                kind.giveBack(piece);
            }
        }
    }

    private static void setUnindexed(Pieces kind, int piece) {
        if (kind.index != null) {
            kind.setReferences(piece, 0);
        }
    }

    /** Looks up the pieces of a block that is being sealed. Cannot fail half-way: a piece may stay out of the index. */
    void share(MergeBlock block) {
        int size = block.size();
        byte[] content = scratch.take();
        try {
            for (int i = 0; i < pieces(size); i++) {
                Pieces kind = kind(size, i);
                ContentIndex index = kind.index;
                if (index == null) {
                    continue;
                }
                int piece = block.piece(i);
                int length = length(size, i);
                int stored = kind.size(length);
                kind.memory(piece).get(kind.position(piece), content, 0, stored);
                int kept = index.findOrAdd(piece, index.hash(content, stored), content, length);
                if (kept != piece && kept != Pieces.NONE) {
                    block.setPiece(i, kept);
                    counters.add(Counters.SHARED_STORES, 1);
                    kind.giveBack(piece);
                }
            }
        } finally {
            scratch.giveBack(content);
        }
    }

    void write(MergeBlock block, int offset, ByteBuffer source, int length) {
        byte[] content = pad == null ? null : scratch.take();
        int done = 0;
        while (done < length) {
            int index = (offset + done) / pageSize;
            Pieces kind = kind(block.size(), index);
            int piece = block.piece(index);
            int start = (offset + done) % pageSize;
            int count = Math.min(length - done, pageSize - start);
            if (content == null) {
                kind.memory(piece).put(kind.position(piece) + start, source, source.position() + done, count);
            } else {
                source.get(source.position() + done, content, start, count);
                combineWithPad(content, start, start + count);
                kind.memory(piece).put(kind.position(piece) + start, content, start, count);
            }
            done += count;
        }
        scratch.giveBack(content);
    }

    void read(MergeBlock block, int offset, ByteBuffer target, int length) {
        byte[] content = pad == null ? null : scratch.take();
        int done = 0;
        while (done < length) {
            int index = (offset + done) / pageSize;
            Pieces kind = kind(block.size(), index);
            int piece = block.piece(index);
            int start = (offset + done) % pageSize;
            int count = Math.min(length - done, pageSize - start);
            if (content == null) {
                target.put(target.position() + done, kind.memory(piece), kind.position(piece) + start, count);
            } else {
                kind.memory(piece).get(kind.position(piece) + start, content, start, count);
                combineWithPad(content, start, start + count);
                target.put(target.position() + done, content, start, count);
            }
            done += count;
        }
        scratch.giveBack(content);
    }

    private void combineWithPad(byte[] content, int from, int to) {
        if (pad != null) {
            pad.combine(content, from, to);
        }
    }

    /** Takes memory for all pieces of a value, or throws and takes none. */
    private int[] take(int size) {
        int[] taken = new int[pieces(size)];
        boolean hasSlot = hasSlot(size);
        int whole = hasSlot ? taken.length - 1 : taken.length;
        pages.take(taken, whole);
        boolean done = false;
        try {
            if (hasSlot) {
                taken[whole] = kind(size, whole).take(length(size, whole));
            }
            done = true;
            return taken;
        } finally {
            if (!done) {
                giveBack(size, taken, whole);
            }
        }
    }

    private void giveBack(int size, int[] taken, int count) {
        for (int i = 0; i < count; i++) {
            kind(size, i).giveBack(taken[i] & ~PageRegion.RETAINED);
        }
    }

    /** Frees the pieces of a closed block. Cannot fail. */
    void free(MergeBlock block) {
        count(block, -1);
        int size = block.size();
        int pieces = pieces(size);
        if (hasSlot(size)) {
            pieces--;
            kind(size, pieces).free(block.piece(pieces));
        }
        // Adjacent pages are given back together, in one call of the kernel.
        int first = Pieces.NONE;
        int count = 0;
        for (int i = 0; i < pieces; i++) {
            int page = block.piece(i);
            if (!wholePages.isLastUse(page)) {
                continue;
            }
            if (count > 0 && page == first + count && pages.indexInRegion(page) != 0) {
                count++;
                continue;
            }
            if (count > 0) {
                pages.giveBack(first, count);
            }
            first = page;
            count = 1;
        }
        if (count > 0) {
            pages.giveBack(first, count);
        }
    }

    /** Overwrites what is left of the pad and of values on the heap. Called once the pages are closed. */
    void clearSecrets() {
        if (pad != null) {
            Arrays.fill(emptyPage, (byte) 0);
            scratch.clear();
        }
    }

    PoolStats stats() {
        List<MergeRegion> regions = pages.regions();
        long address = regions.stream().mapToLong(MergeRegion::size).sum();
        long index = 0;
        if (wholePages.index != null) {
            index = wholePages.index.bytes() + pages.indexedBytes();
        }
        if (slots != null && slots.index != null) {
            index += slots.index.bytes() + slots.indexedBytes();
        }
        return new PoolStats(
                pages.capacity(),
                pages.usedBytes(),
                counters.sum(Counters.LOGICAL_BYTES),
                counters.sum(Counters.VALUE_BYTES),
                counters.sum(Counters.BLOCKS),
                counters.sum(Counters.SHARED_STORES),
                pages.retainedBytes(),
                index,
                regions.size(),
                address);
    }
}
