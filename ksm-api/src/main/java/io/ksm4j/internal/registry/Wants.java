// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import static io.ksm4j.internal.registry.Nodes.NIL;

import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/**
 * The parts of regions that are wanted mergeable. A region that is wanted whole has {@link Slot#MARKED}. One that is
 * wanted in part has a piece for each part, and pieces never touch:
 *
 * <pre>
 * base    |------------------------------------------|   PARTIAL
 * pieces       |======|          |=======|               wanted
 * </pre>
 *
 * <p>The caller holds the lock of the table. Methods that change something allocate nothing if the nodes were reserved
 * before.
 */
final class Wants {

    /** The maximum number of nodes that {@link #want} and {@link #unwant} add for a part; none for a whole region. */
    static final int NODES_FOR_PART = 2;

    /** The maximum number of nodes that {@link #detach} adds. */
    static final int NODES_TO_DETACH = 2;

    private final Nodes nodes;
    private final RangeIndex index;

    // Searches, created in advance, because nothing may be allocated while the table is being changed.
    private final FirstPiece firstPiece = new FirstPiece();
    private final WantedBytes wantedBytes = new WantedBytes();
    private final WantedRanges wantedRanges = new WantedRanges();

    Wants(Nodes nodes, RangeIndex index) {
        this.nodes = nodes;
        this.index = index;
    }

    // ---- Reading

    /** Returns how many bytes of a range regions want, each byte counted once. */
    long bytes(long from, long to) {
        return wantedBytes.in(from, to);
    }

    /** Visits the parts of a range that no region wants, not counting regions that the predicate ignores. */
    void forEachUnwanted(long from, long to, IntPredicate ignored, RangeVisitor visitor) {
        long[] reached = {from};
        index.forEachOverlapping(from, to, (node, start, end) -> {
            if (nodes.isWanted(node) && !ignored.test(nodes.base(node))) {
                if (start > reached[0]) {
                    visitor.visit(reached[0], start, 0);
                }
                reached[0] = Math.max(reached[0], end);
            }
            return true;
        });
        if (reached[0] < to) {
            visitor.visit(reached[0], to, 0);
        }
    }

    /**
     * Visits the parts of a range that regions want, each address once. Regions of fallbacks do not count, because the
     * kernel has not marked them.
     */
    void forEachMarked(long from, long to, RangeVisitor visitor) {
        wantedRanges.visit(from, to, visitor);
    }

    /** Visits the parts of a range that one region wants, each with the time when it became wanted. */
    void forEachWantedBy(int base, long from, long to, RangeVisitor visitor) {
        if (nodes.is(base, Slot.MARKED)) {
            visitor.visit(Math.max(from, nodes.start(base)), Math.min(to, nodes.end(base)), nodes.since(base));
        } else if (nodes.is(base, Slot.PARTIAL)) {
            index.forEachOverlapping(from, to, (node, start, end) -> {
                if (nodes.is(node, Slot.PIECE) && nodes.base(node) == base && nodes.isWanted(node)) {
                    visitor.visit(Math.max(from, start), Math.min(to, end), nodes.since(node));
                }
                return true;
            });
        }
    }

    // ---- Changing

    /**
     * Makes an owned region want a part of itself. Pieces that touch are joined; the result is as old as the oldest of
     * them.
     */
    void want(int base, long from, long to, long since) {
        if (nodes.is(base, Slot.MARKED)) {
            return;
        }
        long start = from;
        long end = to;
        long oldest = since;
        for (int piece = firstPiece.in(base, start - 1, end + 1);
                piece != NIL;
                piece = firstPiece.in(base, start - 1, end + 1)) {
            start = Math.min(start, nodes.start(piece));
            end = Math.max(end, nodes.end(piece));
            oldest = Math.min(oldest, nodes.since(piece));
            removePiece(base, piece);
        }
        if (start == nodes.start(base) && end == nodes.end(base)) {
            nodes.setSince(base, oldest);
            nodes.setFlags(base, Slot.MARKED, Slot.PARTIAL);
        } else {
            addPiece(base, start, end, oldest, 0);
        }
    }

    /** Makes a region that is owned, or overlaps an owned one, no longer want a part of itself. */
    void unwant(int base, long from, long to) {
        if (nodes.is(base, Slot.MARKED)) {
            nodes.setFlags(base, 0, Slot.MARKED);
            if (nodes.start(base) < from) {
                addPiece(base, nodes.start(base), from, nodes.since(base), 0);
            }
            if (to < nodes.end(base)) {
                addPiece(base, to, nodes.end(base), nodes.since(base), 0);
            }
        } else if (nodes.is(base, Slot.PARTIAL)) {
            removePieces(base, from, to);
        }
    }

    /**
     * Detaches a region from a part of its memory that no longer exists. Of an excluded region, only the rest stays
     * excluded.
     */
    void detach(int base, long from, long to) {
        if (nodes.is(base, Slot.EXCLUDED)) {
            nodes.setFlags(base, 0, Slot.EXCLUDED);
            if (nodes.start(base) < from) {
                addPiece(base, nodes.start(base), from, 0, Slot.EXCLUDED);
            }
            if (to < nodes.end(base)) {
                addPiece(base, to, nodes.end(base), 0, Slot.EXCLUDED);
            }
        } else {
            unwant(base, from, to);
        }
        nodes.setFlags(base, Slot.DETACHED, 0);
    }

    /** Removes parts of pieces. A piece that extends beyond both ends becomes two pieces, which needs one more node. */
    private void removePieces(int base, long from, long to) {
        for (int piece = firstPiece.in(base, from, to); piece != NIL; piece = firstPiece.in(base, from, to)) {
            long start = nodes.start(piece);
            long end = nodes.end(piece);
            long since = nodes.since(piece);
            long excluded = nodes.is(piece, Slot.EXCLUDED) ? Slot.EXCLUDED : 0;
            removePiece(base, piece);
            if (start < from) {
                addPiece(base, start, from, since, excluded);
            }
            if (to < end) {
                addPiece(base, to, end, since, excluded);
            }
        }
    }

    private void addPiece(int base, long start, long end, long since, long excluded) {
        int piece = nodes.addPiece(base, start, end, since, excluded);
        index.add(start, end, piece);
        nodes.setFlags(base, Slot.PARTIAL, 0);
    }

    private void removePiece(int base, int piece) {
        index.remove(nodes.start(piece), piece);
        if (nodes.removePiece(base, piece) == 0) {
            nodes.setFlags(base, 0, Slot.PARTIAL);
        }
    }

    /** Finds the first piece of a region in a range. */
    private final class FirstPiece implements RangeIndex.NodeVisitor {
        private int base;
        private int found;

        int in(int base, long from, long to) {
            this.base = base;
            found = NIL;
            if (nodes.is(base, Slot.PARTIAL)) {
                index.forEachOverlapping(from, to, this);
            }
            return found;
        }

        @Override
        public boolean visit(int node, long start, long end) {
            if (!nodes.is(node, Slot.PIECE) || nodes.base(node) != base) {
                return true;
            }
            found = node;
            return false;
        }
    }

    private final class WantedBytes implements RangeIndex.NodeVisitor {
        private long reached;
        private long limit;
        private long bytes;

        long in(long from, long to) {
            reached = from;
            limit = to;
            bytes = 0;
            index.forEachOverlapping(from, to, this);
            return bytes;
        }

        @Override
        public boolean visit(int node, long start, long end) {
            if (end > reached && nodes.isWanted(node)) {
                long last = Math.min(end, limit);
                bytes += last - Math.max(start, reached);
                reached = last;
            }
            return true;
        }
    }

    private final class WantedRanges implements RangeIndex.NodeVisitor {
        private long reached;
        private long limit;
        private @Nullable RangeVisitor visitor;

        void visit(long from, long to, RangeVisitor visitor) {
            this.visitor = visitor;
            reached = from;
            limit = to;
            index.forEachOverlapping(from, to, this);
        }

        @Override
        public boolean visit(int node, long start, long end) {
            long from = Math.max(start, reached);
            long to = Math.min(end, limit);
            if (visitor != null && from < to && nodes.isWanted(node) && !nodes.is(nodes.base(node), Slot.RECORDED)) {
                visitor.visit(from, to, nodes.since(node));
                reached = to;
            }
            return true;
        }
    }
}
