// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Finds what overlaps a range among very many: a B+ tree ordered by start address and then by node, in which each block knows
 * the highest end in each block below it.
 *
 * <p>Of a million ranges almost all lie outside the processor's caches, and every place to look at costs more than many
 * comparisons do. So a block holds up to {@value #CAPACITY} entries side by side, and the way down leads through four or five
 * blocks, where a tree of single nodes has twenty.
 *
 * <p>The blocks are of JDK types only, since copies of ksm4j share them ({@link RegionTable}). A leaf is a {@code long[]}: how
 * many entries it has, and then start, end and node of each. A branch is an {@code Object[]}: first such a
 * {@code long[]}, then the blocks below, of which each has an entry there with its first start, its highest end and its first
 * node. The caller holds the table's lock.
 *
 * <p>Adding allocates nothing, and so cannot fail, if {@link #reserve} was asked before: then the blocks that splits take are there
 * already. Removing never allocates.
 */
final class RangeIndex {

    /** Fewer make the tree higher, more make it slower to search and to shift a block. */
    private static final int CAPACITY = 32;

    /** A block is split where the new entry goes, so that ranges in order of address fill the blocks; but no smaller than this. */
    private static final int SMALLEST_PART = CAPACITY / 4;

    /**
     * A block that has become smaller than that part is joined with a neighbour if they have no more together. It is less than a
     * block has room for, or a range that comes and goes could split and join them every time.
     */
    private static final int JOINED = CAPACITY * 3 / 4;

    // Words of a leaf, and of the first element of a branch. The words of an entry stand side by side: they are on one
    // cache line or two.
    private static final int COUNT = 0;
    private static final int ENTRIES = 1;

    // Words of an entry.
    private static final int START = 0;
    private static final int END = 1;
    private static final int NODE = 2;
    private static final int WORDS = 3;

    /** Where in a branch the blocks below begin. */
    private static final int BELOW = 1;

    // Elements of the spare blocks: how many there are of each kind, and a stack for each.
    private static final int COUNTS = 0;
    private static final int LEAVES = 0;
    private static final int BRANCHES = 1;

    private final @Nullable Object[] shared;
    private final int top;
    private final @Nullable Object[] spares;

    /**
     * @param top which element of the shared array is the topmost block
     * @param spares which one holds the spare blocks
     */
    RangeIndex(Object[] shared, int top, int spares) {
        this.shared = shared;
        this.top = top;
        this.spares = (Object[]) shared[spares];
    }

    /** The topmost block of an index without ranges. */
    static Object newTop() {
        return newLeaf();
    }

    /** No spare blocks yet. */
    static Object newSpares() {
        return new Object[] {new long[2], new Object[0], new Object[0]};
    }

    /** Makes sure that so many ranges can be added without an allocation. */
    void reserve(int ranges) {
        // An add splits at most the blocks on its way down, and one of many a topmost block, which makes the tree
        // higher.
        fill(LEAVES, ranges);
        fill(BRANCHES, ranges * (height() + 2));
    }

    private int height() {
        int height = 0;
        for (Object block = top(); block instanceof Object[] branch; block = branch[BELOW]) {
            height++;
        }
        return height;
    }

    private void fill(int kind, int least) {
        long[] counts = (long[]) spares[COUNTS];
        Object[] stack = (Object[]) spares[1 + kind];
        if (stack.length < least) {
            stack = Arrays.copyOf(stack, least);
            spares[1 + kind] = stack;
        }
        while (counts[kind] < least) {
            stack[(int) counts[kind]] = kind == LEAVES ? newLeaf() : newBranch();
            counts[kind]++;
        }
    }

    /** A block without entries: a spare one if there are some. */
    private Object take(int kind) {
        long[] counts = (long[]) spares[COUNTS];
        if (counts[kind] == 0) {
            return kind == LEAVES ? newLeaf() : newBranch();
        }
        @Nullable Object[] stack = (Object[]) spares[1 + kind];
        Object block = stack[(int) --counts[kind]];
        stack[(int) counts[kind]] = null;
        return block;
    }

    /** Visits nodes in order of start address; returns whether to go on. */
    interface NodeVisitor {
        boolean visit(int node);
    }

    /** Adds a range. */
    void add(long start, long end, int node) {
        if (count(top()) == CAPACITY) {
            Object[] branch = (Object[]) take(BRANCHES);
            insert(branch, 0, top());
            split(branch, 0, start, node);
            shared[top] = branch;
        }
        add(top(), start, end, node);
    }

    /** Removes a range that was added. */
    void remove(long start, int node) {
        remove(top(), start, node);
        if (top() instanceof Object[] branch && count(branch) == 1) {
            shared[top] = branch[BELOW];
        }
    }

    /**
     * Visits the nodes of the ranges that overlap a range, in order of start address. The visitor must not change the index.
     */
    void forEachOverlapping(long from, long to, NodeVisitor visitor) {
        visit(top(), from, to, visitor);
    }

    private Object top() {
        return shared[top];
    }

    private static boolean visit(Object block, long from, long to, NodeVisitor visitor) {
        long[] entries = entries(block);
        int behind = word((int) entries[COUNT]);
        for (int at = ENTRIES; ; at += WORDS) {
            // What starts behind the range ends behind it, too, so the start need not be compared here.
            while (at < behind && entries[at + END] <= from) {
                at += WORDS;
            }
            if (at >= behind || entries[at + START] >= to) {
                return true;
            }
            boolean goesOn = block instanceof Object[] branch
                    ? visit(branch[BELOW + at / WORDS], from, to, visitor)
                    : visitor.visit((int) entries[at + NODE]);
            if (!goesOn) {
                return false;
            }
        }
    }

    /** Adds to a block that isn't full. Full ones are split on the way down, so nothing has to be carried up again. */
    private void add(Object block, long start, long end, int node) {
        if (block instanceof Object[] branch) {
            int at = childFor(branch, start, node);
            if (count(branch[BELOW + at]) == CAPACITY) {
                split(branch, at, start, node);
                at = childFor(branch, start, node);
            }
            add(branch[BELOW + at], start, end, node);
            if (at == 0) {
                describe(branch, 0);
            } else {
                long[] entries = entries(branch);
                entries[word(at) + END] = Math.max(end, entries[word(at) + END]);
            }
        } else {
            int at = rank(block, start, node);
            makeRoom(block, at);
            set(block, at, start, end, node);
        }
    }

    /** Answers the end of the range that it removed. */
    private static long remove(Object block, long start, int node) {
        int at = rank(block, start, node) - 1;
        int word = word(at);
        long[] entries = entries(block);
        if (!(block instanceof Object[] branch)) {
            long end = entries[word + END];
            removeAt(block, at);
            return end;
        }
        Object below = branch[BELOW + at];
        long end = remove(below, start, node);
        int left = count(below);
        if (left == 0) {
            removeAt(branch, at);
            return end;
        }
        // Each block looked at is a wait for memory: what was neither first nor last needs none to be described, and
        // only
        // a block that is rather empty is worth a look at its neighbours.
        if (entries[word + NODE] == node || entries[word + END] == end) {
            describe(branch, at);
        }
        if (left < SMALLEST_PART) {
            join(branch, at);
            join(branch, at - 1);
        }
        return end;
    }

    /** How many entries of a block come before this one, or are this one. */
    private static int rank(Object block, long start, int node) {
        long[] entries = entries(block);
        int behind = word((int) entries[COUNT]);
        int at = ENTRIES;
        while (at < behind && entries[at + START] < start) {
            at += WORDS;
        }
        while (at < behind && entries[at + START] == start && entries[at + NODE] <= node) {
            at += WORDS;
        }
        return at / WORDS;
    }

    private static int childFor(Object[] branch, long start, int node) {
        return Math.max(rank(branch, start, node) - 1, 0);
    }

    /** Makes two of a full block, for the sake of a new entry. */
    private void split(Object[] branch, int at, long start, int node) {
        Object left = branch[BELOW + at];
        Object right = take(left instanceof Object[] ? BRANCHES : LEAVES);
        int cut = Math.max(SMALLEST_PART, Math.min(rank(left, start, node), CAPACITY - SMALLEST_PART));
        move(left, cut, right, 0, CAPACITY - cut);
        setCount(right, CAPACITY - cut);
        setCount(left, cut);
        describe(branch, at);
        insert(branch, at + 1, right);
    }

    /** Makes one of the block below and the next, if there are two and they are rather empty. */
    private static void join(Object[] branch, int at) {
        if (at < 0 || at + 1 >= count(branch)) {
            return;
        }
        Object left = branch[BELOW + at];
        Object right = branch[BELOW + at + 1];
        int kept = count(left);
        int moved = count(right);
        if (kept + moved <= JOINED) {
            move(right, 0, left, kept, moved);
            setCount(left, kept + moved);
            describe(branch, at);
            removeAt(branch, at + 1);
        }
    }

    /** Says in a branch what is in a block below. */
    private static void describe(Object[] branch, int at) {
        long[] below = entries(branch[BELOW + at]);
        long end = 0;
        for (int i = ENTRIES; i < word((int) below[COUNT]); i += WORDS) {
            end = Math.max(end, below[i + END]);
        }
        set(branch, at, below[ENTRIES + START], end, below[ENTRIES + NODE]);
    }

    private static void insert(Object[] branch, int at, Object block) {
        makeRoom(branch, at);
        branch[BELOW + at] = block;
        describe(branch, at);
    }

    private static void makeRoom(Object block, int at) {
        int count = count(block);
        move(block, at, block, at + 1, count - at);
        setCount(block, count + 1);
    }

    private static void removeAt(Object block, int at) {
        int rest = count(block) - 1;
        move(block, at + 1, block, at, rest - at);
        setCount(block, rest);
    }

    private static void move(Object source, int from, Object target, int to, int count) {
        System.arraycopy(entries(source), word(from), entries(target), word(to), count * WORDS);
        if (source instanceof Object[] branch) {
            System.arraycopy(branch, BELOW + from, (Object[]) target, BELOW + to, count);
        }
    }

    private static void set(Object block, int at, long start, long end, long node) {
        long[] entries = entries(block);
        entries[word(at) + START] = start;
        entries[word(at) + END] = end;
        entries[word(at) + NODE] = node;
    }

    private static int word(int at) {
        return ENTRIES + at * WORDS;
    }

    private static int count(Object block) {
        return (int) entries(block)[COUNT];
    }

    private static void setCount(Object block, int count) {
        long[] entries = entries(block);
        int old = (int) entries[COUNT];
        entries[COUNT] = count;
        if (block instanceof @Nullable Object[] branch && count < old) {
            Arrays.fill(branch, BELOW + count, BELOW + old, null);
        }
    }

    private static long[] entries(Object block) {
        return (long[]) (block instanceof Object[] branch ? branch[0] : block);
    }

    private static long[] newLeaf() {
        return new long[ENTRIES + CAPACITY * WORDS];
    }

    private static Object[] newBranch() {
        Object[] branch = new Object[BELOW + CAPACITY];
        branch[0] = newLeaf();
        return branch;
    }
}
