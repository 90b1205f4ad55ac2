package io.ksm4j.internal;

/**
 * Finds out whether there is stack for what must not stop half way. A {@link StackOverflowError} is thrown here, where nothing has been done yet,
 * or not at all: what follows calls each other less deeply than this calls itself.
 */
public final class StackRoom {

    /** Changing the table takes about twenty calls. Those may be interpreted, with larger frames than compiled ones have here. */
    private static final int CHANGE = 256;

    /** Looking something up in the table, and unlocking it. */
    private static final int LOOK = 48;

    private StackRoom() {}

    /** Before a lock is taken: for what is looked up under it, and for unlocking. */
    public static void requireForLock() {
        descend(LOOK);
    }

    /** Before regions are owned: for what is done with them until they are released. */
    public static void requireForChange() {
        descend(CHANGE);
    }

    /** Before a region is opened: for its first change, and for closing it again if that fails. */
    public static void requireForOpening() {
        descend(3 * CHANGE);
    }

    private static int descend(int calls) {
        return calls == 0 ? 0 : descend(calls - 1) + 1;
    }
}
