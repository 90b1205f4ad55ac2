package io.ksm4j.tools.live;

import io.ksm4j.plot.Plot.Point;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/**
 * How a number has changed. It keeps {@value #CAPACITY} points at most: beyond that every two become one, their mean, so that a series
 * may go on for ever. For use by one thread at a time.
 */
final class TimeSeries {

    static final int CAPACITY = 4096;

    private final List<Point> points = new ArrayList<>();

    /** How many numbers make a point. */
    private int perPoint = 1;

    /** Of those that are no point yet. */
    private double seconds;

    private double sum;
    private int count;

    /**
     * Adds a number.
     *
     * @param at seconds since the series began, not less than before
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

    /** What it was, from the first point on; of numbers that are no point yet their mean is the last. */
    List<Point> points() {
        List<Point> all = new ArrayList<>(points);
        if (count > 0) {
            all.add(new Point(seconds, sum / count));
        }
        return all;
    }

    /**
     * Its course in equal columns of time: the mean of the points in each, or the one before where there is none; not a number before
     * the first and behind the last.
     *
     * @param width how many columns
     * @param span how many seconds they are in all, more than 0
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

    /** The greatest of its points, if there is one. */
    OptionalDouble max() {
        return points().stream().mapToDouble(Point::y).max();
    }
}
