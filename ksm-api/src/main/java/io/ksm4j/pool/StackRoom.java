package io.ksm4j.pool;

/** Has a stack overflow before an operation, where it changes nothing, rather than half way through. */
final class StackRoom {

    /** Compiled, a level takes some 20 bytes: enough for the calls of an operation, but for those into the backend. */
    private static final int LEVELS = 200;

    private StackRoom() {}

    /**
     * Returns if some kilobytes of stack are left.
     *
     * @throws StackOverflowError if not
     */
    static void require() {
        descend(LEVELS);
    }

    private static int descend(int levels) {
        return levels == 0 ? 0 : descend(levels - 1) + 1;
    }
}
