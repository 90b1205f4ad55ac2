// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

/**
 * Whether a region is marked mergeable when it is opened, and whether it can be marked at all.
 *
 * @since 0.1.0
 */
public enum Marking {
    /** The region is marked mergeable when it is opened. */
    MERGEABLE,
    /** The region is not marked when it is opened. {@link MergeRegion#markMergeable()} can mark it later. */
    UNMERGEABLE,
    /**
     * The region must never merge, because it holds secrets. It cannot be marked, and is excluded when the whole
     * process is opted in ({@link ProcessMerging}).
     *
     * <p>Merging leaks content: an attacker who can write a guess of a page into memory that merges with it, and then
     * time a write to it, learns whether the guess was right.
     */
    NEVER
}
