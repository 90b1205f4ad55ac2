// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.live;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.plot.Plot.Point;
import org.junit.jupiter.api.Test;

/** Numbers over time. */
class TimeSeriesTest {

    private final TimeSeries series = new TimeSeries();

    @Test
    void columnsAreMeansAndGapsKeepThePreviousValue() {
        series.add(0.5, 10);
        series.add(1.5, 20);
        series.add(1.75, 40);
        series.add(4.5, 50);

        assertThat(series.columns(6, 6)).containsExactly(10, 30, 30, 30, 50, Double.NaN);
        assertThat(series.columns(2, 5)).containsExactly(70 / 3.0, 50);
        assertThat(series.max()).hasValue(50);
    }

    @Test
    void anEmptySeriesHasNoColumns() {
        assertThat(series.columns(3, 1)).containsOnly(Double.NaN);
        assertThat(series.points()).isEmpty();
        assertThat(series.max()).isEmpty();
    }

    @Test
    void columnsBeforeTheFirstPointAreEmpty() {
        series.add(2, 1);

        assertThat(series.columns(4, 4)).containsExactly(Double.NaN, Double.NaN, 1, Double.NaN);
    }

    @Test
    void aLongSeriesIsThinnedAndKeepsItsShape() {
        int numbers = 10 * TimeSeries.CAPACITY + 7;
        for (int i = 0; i < numbers; i++) {
            series.add(i, i);
        }

        assertThat(series.points()).hasSizeBetween(TimeSeries.CAPACITY / 2, TimeSeries.CAPACITY);
        assertThat(series.points().get(0)).isEqualTo(new Point(0, 7.5));
        assertThat(series.points()).extracting(Point::x).isSorted();
        Point last = series.points().get(series.points().size() - 1);
        assertThat(last.y()).isBetween(numbers - 16.0, (double) numbers);
        double[] columns = series.columns(10, numbers);
        for (int i = 0; i < columns.length; i++) {
            assertThat(columns[i]).isBetween((i + 0.49) * numbers / 10, (i + 0.51) * numbers / 10);
        }
    }
}
