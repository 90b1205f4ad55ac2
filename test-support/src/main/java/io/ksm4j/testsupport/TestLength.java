package io.ksm4j.testsupport;

/**
 * How much tests try, and how long, in this run: the gate does less than the profile {@code long}. Those that ask are tagged "more", so
 * that they run in both.
 */
public final class TestLength {

    private static final int TIMES = Integer.getInteger("ksm.tests.times", 1);

    private TestLength() {}

    /** Whether this is the profile {@code long}. */
    public static boolean isLong() {
        return TIMES > 1;
    }

    /** A number of tries, or seconds, of the gate, or what it is in this run. */
    public static int times(int inTheGate) {
        return TIMES * inTheGate;
    }
}
