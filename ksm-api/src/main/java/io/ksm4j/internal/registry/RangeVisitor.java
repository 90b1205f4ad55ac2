// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

/** Visits ranges of addresses in order of address. The table's lock is held: a visitor must be quick, and must not wait. */
@FunctionalInterface
public interface RangeVisitor {

    /**
     * Visits one range.
     *
     * @param since since when it is wanted, in milliseconds since the epoch; 0 where it is not
     */
    void visit(long start, long end, long since);
}
