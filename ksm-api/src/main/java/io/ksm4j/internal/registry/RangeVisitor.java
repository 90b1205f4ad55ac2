// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.registry;

/**
 * Visits address ranges in order of address. The lock of the table is held, so a visitor must be quick and must not
 * wait.
 */
@FunctionalInterface
public interface RangeVisitor {

    /**
     * Visits one range.
     *
     * @param since when the range became wanted, in milliseconds since the epoch; 0 if it is not wanted
     */
    void visit(long start, long end, long since);
}
