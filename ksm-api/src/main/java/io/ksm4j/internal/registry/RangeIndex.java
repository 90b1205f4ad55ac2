// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Finds the ranges that overlap a given one. A B+ tree ordered by start address and then by node, in which each block
 * contains the highest end of each block below it.
 *
 * <p>With a million ranges, almost all of them are outside the processor caches, and each access to another block costs
 * more than many comparisons. Therefore a block holds up to {@value #CAPACITY} entries side by side, and a search
 * passes four or five blocks, where a binary tree would need twenty nodes.
 *
 * <p>The blocks consist of JDK types only, because copies of ksm4j share them ({@link RegionTable}). A leaf is a
 * {@code long[]}: the number of entries, then start, end and node of each. A branch is an {@code Object[]}: first such
 * a {@code long[]}, then the blocks below. Each of these has an entry there with its first start, its highest end and
 * its first node. The caller holds the lock of the table.
 *
 * <p>Adding allocates nothing, and so cannot fail, if {@link #reserve} was called before: the blocks that splitting
 * needs exist already. Removing never allocates.
 */
public final class RangeIndex {

    /**
     * The maximum number of entries of a block. Smaller blocks make the tree taller; larger ones make searching and
     * shifting a block slower.
     */
    private static final int CAPACITY = 32;

    /**
     * The minimum number of entries of each part of a split block. As far as this allows, a block is split where the
     * new entry belongs, so that adding ranges in order of address fills the blocks.
     */
    private static final int MIN_SPLIT = CAPACITY / 4;

    /**
     * The maximum number of entries of a block that results from joining: a block with fewer entries than
     * {@link #MIN_SPLIT} is joined with a neighbor if together they have no more than this. It is less than the
     * capacity, because otherwise a range that is added and removed repeatedly could split and join blocks each time.
     */
    private static final int MAX_JOINED = CAPACITY * 3 / 4;

    // Words of a leaf, and of the first element of a branch. The words of an entry are side by side, so they are on one
    // or two cache lines.
    private static final int COUNT = 0;
    private static final int ENTRIES = 1;

    // Words of an entry.
    private static final int START = 0;
    private static final int END = 1;
    private static final int NODE = 2;
    private static final int WORDS = 3;

    /** The index of the first block below in a branch. */
    private static final int BELOW = 1;

    // Elements of the array of spare blocks: the number of blocks of each kind, then a stack for each kind.
    private static final int COUNTS = 0;
    private static final int LEAVES = 0;
    private static final int BRANCHES = 1;

    private final @Nullable Object[] shared;
    private final int top;
    private final @Nullable Object[] spares;

    /**
     * @param top the index of the topmost block in the shared array
     * @param spares the index of the spare blocks in the shared array
     */
    public RangeIndex(Object[] shared, int top, int spares) {
        this.shared = shared;
        this.top = top;
        this.spares = (Object[]) shared[spares];
    }

    /** Returns the topmost block of an index without ranges. */
    public static Object newTop() {
        return newLeaf();
    }

    /** Returns an array for spare blocks that contains none. */
    public static Object newSpares() {
        return new Object[] {new long[2], new Object[0], new Object[0]};
    }

    /** Ensures that this number of ranges can be added without an allocation. */
    public void reserve(int ranges) {
        // Adding a range splits at most the blocks on its path. One of many additions may also split the topmost block,
        // which makes the tree taller.
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

    private void fill(int kind, int min) {
        long[] counts = (long[]) spares[COUNTS];
        Object[] stack = (Object[]) spares[1 + kind];
        if (stack.length < min) {
            stack = Arrays.copyOf(stack, min);
            spares[1 + kind] = stack;
        }
        while (counts[kind] < min) {
            stack[(int) counts[kind]] = kind == LEAVES ? newLeaf() : newBranch();
            counts[kind]++;
        }
    }

    /** Returns a block without entries, from the spare blocks if there are any. */
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

    /** Visits nodes in order of start address. */
    public interface NodeVisitor {

        /**
         * Visits one node. Its range comes from the index, so a visitor that needs no more does not wait for the memory
         * of the node.
         *
         * @return whether to continue
         */
        boolean visit(int node, long start, long end);
    }

    /** Adds a range. */
    public void add(long start, long end, int node) {
        if (count(top()) == CAPACITY) {
            Object[] branch = (Object[]) take(BRANCHES);
            insert(branch, 0, top());
            split(branch, 0, start, node);
            shared[top] = branch;
        }
        add(top(), start, end, node);
    }

    /** Removes a range that was added. */
    public void remove(long start, int node) {
        remove(top(), start, node);
        if (top() instanceof Object[] branch && count(branch) == 1) {
            shared[top] = branch[BELOW];
        }
    }

    /**
     * Visits the nodes of the ranges that overlap a range, in order of start address. The visitor must not change the
     * index.
     */
    public void forEachOverlapping(long from, long to, NodeVisitor visitor) {
        visit(top(), from, to, visitor);
    }

    private Object top() {
        return shared[top];
    }

    private static boolean visit(Object block, long from, long to, NodeVisitor visitor) {
        long[] entries = entries(block);
        int behind = word((int) entries[COUNT]);
        for (int at = ENTRIES; ; at += WORDS) {
            // A range that starts behind the given one also ends behind it, so the start need not be compared here.
            while (at < behind && entries[at + END] <= from) {
                at += WORDS;
            }
            if (at >= behind || entries[at + START] >= to) {
                return true;
            }
            boolean goesOn = block instanceof Object[] branch
                    ? visit(branch[BELOW + at / WORDS], from, to, visitor)
                    : visitor.visit((int) entries[at + NODE], entries[at + START], entries[at + END]);
            if (!goesOn) {
                return false;
            }
        }
    }

    /** Adds to a block that is not full. Full blocks are split on the way down, so nothing is propagated upward. */
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

    /** Removes a range. Returns its end. */
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
        // Each block that is read is a wait for memory. Removing an entry that was neither first nor last leaves the
        // description valid, and only a rather empty block is worth comparing with its neighbors.
        if (entries[word + NODE] == node || entries[word + END] == end) {
            describe(branch, at);
        }
        if (left < MIN_SPLIT) {
            join(branch, at);
            join(branch, at - 1);
        }
        return end;
    }

    /** Returns the number of entries of a block that are before this one or equal to it. */
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

    /** Splits a full block in two to make room for a new entry. */
    private void split(Object[] branch, int at, long start, int node) {
        Object left = branch[BELOW + at];
        Object right = take(left instanceof Object[] ? BRANCHES : LEAVES);
        int cut = Math.max(MIN_SPLIT, Math.min(rank(left, start, node), CAPACITY - MIN_SPLIT));
        move(left, cut, right, 0, CAPACITY - cut);
        setCount(right, CAPACITY - cut);
        setCount(left, cut);
        describe(branch, at);
        insert(branch, at + 1, right);
    }

    /** Joins a block below and the next one, if both exist and are rather empty. */
    private static void join(Object[] branch, int at) {
        if (at < 0 || at + 1 >= count(branch)) {
            return;
        }
        Object left = branch[BELOW + at];
        Object right = branch[BELOW + at + 1];
        int kept = count(left);
        int moved = count(right);
        if (kept + moved <= MAX_JOINED) {
            move(right, 0, left, kept, moved);
            setCount(left, kept + moved);
            describe(branch, at);
            removeAt(branch, at + 1);
        }
    }

    /** Updates the entry of a branch for one of the blocks below. */
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
