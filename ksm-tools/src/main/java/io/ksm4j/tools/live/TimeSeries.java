// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import io.ksm4j.plot.Plot.Point;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/**
 * A number over time. Keeps at most {@value #CAPACITY} points: when they are exceeded, each pair is replaced by its
 * mean, so a series can continue forever. For use by one thread at a time.
 */
final class TimeSeries {

    static final int CAPACITY = 4096;

    private final List<Point> points = new ArrayList<>();

    /** How many numbers make up a point. */
    private int perPoint = 1;

    /** The incomplete point: its time, the sum of its numbers and their count. */
    private double seconds;

    private double sum;
    private int count;

    /**
     * Adds a number.
     *
     * @param at seconds since the start of the series, not less than before
     * @throws IllegalArgumentException if a number is not finite
     */
    void add(double at, double value) {
        seconds = count == 0 ? at : seconds;
        sum += value;
        count++;
        if (count == perPoint) {
            points.add(new Point(seconds, sum / count));
            sum = 0;
            count = 0;
            if (points.size() == CAPACITY) {
                halve();
            }
        }
    }

    private void halve() {
        for (int i = 0; i < CAPACITY / 2; i++) {
            Point first = points.get(2 * i);
            points.set(
                    i, new Point(first.x(), (first.y() + points.get(2 * i + 1).y()) / 2));
        }
        points.subList(CAPACITY / 2, CAPACITY).clear();
        perPoint *= 2;
    }

    /** Returns all points; the last one is the mean of an incomplete point. */
    List<Point> points() {
        List<Point> all = new ArrayList<>(points);
        if (count > 0) {
            all.add(new Point(seconds, sum / count));
        }
        return all;
    }

    /**
     * Returns the values for columns of equal time: the mean of the points in a column, or the previous value if there
     * is none. Columns before the first and after the last point are NaN.
     *
     * @param width the number of columns
     * @param span the seconds of all columns together, more than 0
     */
    double[] columns(int width, double span) {
        double[] sums = new double[width];
        int[] counts = new int[width];
        int last = -1;
        for (Point point : points()) {
            int column = (int) Math.min(width - 1, point.x() / span * width);
            sums[column] += point.y();
            counts[column]++;
            last = column;
        }
        double[] columns = new double[width];
        Arrays.fill(columns, Double.NaN);
        for (int i = 0; i <= last; i++) {
            columns[i] = counts[i] > 0 ? sums[i] / counts[i] : i > 0 ? columns[i - 1] : Double.NaN;
        }
        return columns;
    }

    /** Returns the maximum of the points; empty if there is none. */
    OptionalDouble max() {
        return points().stream().mapToDouble(Point::y).max();
    }
}
