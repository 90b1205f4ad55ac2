// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Iterator;

/** The most recent numbers of a sequence, as many as a screen may have columns. For use by one thread at a time. */
final class RecentValues {

    private static final int CAPACITY = 1024;

    private final Deque<Double> values = new ArrayDeque<>();

    void add(double value) {
        values.addLast(value);
        if (values.size() > CAPACITY) {
            values.removeFirst();
        }
    }

    /** Returns the most recent numbers, with the latest at the right; NaN if there are fewer. */
    double[] latest(int width) {
        double[] latest = new double[width];
        Arrays.fill(latest, Double.NaN);
        Iterator<Double> backwards = values.descendingIterator();
        for (int i = width - 1; i >= 0 && backwards.hasNext(); i--) {
            latest[i] = backwards.next();
        }
        return latest;
    }
}
