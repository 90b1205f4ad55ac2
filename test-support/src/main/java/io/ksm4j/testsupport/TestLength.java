// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

/**
 * How much tests try in this run. The profile {@code long} tries more than the gate. Tests that use this class are
 * tagged "more", so that they run in both.
 */
public final class TestLength {

    private static final int TIMES = Integer.getInteger("ksm.tests.times", 1);

    private TestLength() {}

    /** Returns whether this run is that of the profile {@code long}. */
    public static boolean isLong() {
        return TIMES > 1;
    }

    /** Returns the number of tries, or seconds, for this run, given that of the gate. */
    public static int times(int inTheGate) {
        return TIMES * inTheGate;
    }
}
