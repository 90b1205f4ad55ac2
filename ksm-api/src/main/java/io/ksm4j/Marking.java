package io.ksm4j;

/** How a region starts, and what it may become. */
public enum Marking {
    /** The region is marked mergeable as it is opened. */
    MERGEABLE,
    /** The region is not marked; {@link MergeRegion#markMergeable()} does it later. */
    UNMERGEABLE,
    /**
     * The region must never merge, because it holds secrets: whoever can write a guessed page beside it and time a write to it
     * afterwards can tell whether the guess was right. It cannot be marked, and it stays out when the whole process is opted
     * in ({@link ProcessMerging}).
     */
    NEVER
}
