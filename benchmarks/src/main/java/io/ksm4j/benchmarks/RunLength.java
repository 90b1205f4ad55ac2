// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

/** How long the benchmark of a part may take. */
public enum RunLength {
    /** Only checks, in a test, that the benchmark works. Its times are meaningless. */
    INSTANT,
    /** Takes a quarter of an hour for all parts together. */
    SHORT,
    /** Takes two hours for all parts together. */
    LONG;

    /** Returns the value for this length. */
    public <T> T of(T whenInstant, T whenShort, T whenLong) {
        return switch (this) {
            case INSTANT -> whenInstant;
            case SHORT -> whenShort;
            case LONG -> whenLong;
        };
    }
}
