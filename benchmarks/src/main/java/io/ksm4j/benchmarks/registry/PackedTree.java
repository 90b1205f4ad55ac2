// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.registry;

/**
 * A structure that could take the place of the registry's index: an AVL tree in one array, four words a node, ordered
 * by start address, in which each node contains the highest end below it. Nodes are numbered from 1.
 */
final class PackedTree {

    /** No node. */
    private static final int NIL = 0;

    // Words of a node.
    private static final int START = 0;
    private static final int END = 1;
    private static final int MAX_END = 2;
    /** The left node in the lowest 28 bits, then the right node in 28 bits, then the height. */
    private static final int LINKS = 3;

    private static final int WORDS = 4;

    private static final int NODE_BITS = 28;
    private static final int NODE_MASK = (1 << NODE_BITS) - 1;

    private final long[] words;
    private int root = NIL;

    PackedTree(int capacity) {
        words = new long[(1 + capacity) * WORDS];
    }

    void add(int node, long start, long end) {
        set(node, START, start);
        set(node, END, end);
        update(node, NIL, NIL);
        root = add(root, node);
    }

    void remove(int node) {
        root = remove(root, node);
    }

    /** Returns how many ranges overlap a range. */
    int overlapping(long from, long to) {
        return overlapping(root, from, to);
    }

    private int overlapping(int node, long from, long to) {
        if (node == NIL || get(node, MAX_END) <= from) {
            return 0;
        }
        int found = overlapping(left(node), from, to);
        if (get(node, START) < to) {
            found += (get(node, END) > from ? 1 : 0) + overlapping(right(node), from, to);
        }
        return found;
    }

    private boolean precedes(int node, int other) {
        long start = get(node, START);
        long otherStart = get(other, START);
        return start != otherStart ? start < otherStart : node < other;
    }

    private int add(int top, int node) {
        if (top == NIL) {
            return node;
        }
        return precedes(node, top)
                ? balance(top, add(left(top), node), right(top))
                : balance(top, left(top), add(right(top), node));
    }

    private int remove(int top, int node) {
        int left = left(top);
        int right = right(top);
        if (top != node) {
            return precedes(node, top)
                    ? balance(top, remove(left, node), right)
                    : balance(top, left, remove(right, node));
        }
        if (left == NIL || right == NIL) {
            return left == NIL ? right : left;
        }
        int next = right;
        while (left(next) != NIL) {
            next = left(next);
        }
        return balance(next, left, remove(right, next));
    }

    /** Gives a node new children, whose heights differ by at most two, and returns the new top of the three. */
    private int balance(int node, int left, int right) {
        if (height(left) > height(right) + 1) {
            boolean outer = height(left(left)) >= height(right(left));
            return rotateRight(node, outer ? left : rotateLeft(left, left(left), right(left)), right);
        }
        if (height(right) > height(left) + 1) {
            boolean outer = height(right(right)) >= height(left(right));
            return rotateLeft(node, left, outer ? right : rotateRight(right, left(right), right(right)));
        }
        update(node, left, right);
        return node;
    }

    private int rotateRight(int node, int left, int right) {
        update(node, right(left), right);
        update(left, left(left), node);
        return left;
    }

    private int rotateLeft(int node, int left, int right) {
        update(node, left, left(right));
        update(right, node, right(right));
        return right;
    }

    private void update(int node, int left, int right) {
        long height = Math.max(height(left), height(right)) + 1L;
        set(node, LINKS, left | (long) right << NODE_BITS | height << (2 * NODE_BITS));
        set(node, MAX_END, Math.max(get(node, END), Math.max(get(left, MAX_END), get(right, MAX_END))));
    }

    private int left(int node) {
        return (int) get(node, LINKS) & NODE_MASK;
    }

    private int right(int node) {
        return (int) (get(node, LINKS) >>> NODE_BITS) & NODE_MASK;
    }

    private int height(int node) {
        return (int) (get(node, LINKS) >>> (2 * NODE_BITS));
    }

    private long get(int node, int word) {
        return words[node * WORDS + word];
    }

    private void set(int node, int word, long value) {
        words[node * WORDS + word] = value;
    }
}
