package io.ksm4j.testsupport;

/** How much of what tests do at random, or again and again, they do in this run: the gate does less than the profile {@code long}. */
public final class TestLength {

    private static final int TIMES = Integer.getInteger("ksm.tests.times", 1);

    private TestLength() {}

    /** A number of tries, or seconds, of the gate, or what it is in this run. */
    public static int times(int inTheGate) {
        return TIMES * inTheGate;
    }
}
