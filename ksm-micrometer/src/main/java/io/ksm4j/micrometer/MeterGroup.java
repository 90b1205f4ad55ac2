// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import io.ksm4j.stats.KsmCounter;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.TimeGauge;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAccumulator;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Registers meters of numbers that are read together, except for numbers that are missing in the first reading.
 * Registries hold the object of a meter weakly, and its function strongly, so the functions capture all that they need.
 *
 * @param registry the registry to register meters with
 * @param tags tags of all meters
 * @param reading makes the readings
 * @param first the first reading
 */
record MeterGroup<T>(MeterRegistry registry, Tags tags, CachedReading<T> reading, T first) {

    /**
     * Registers a gauge, which is NaN while there is no number.
     *
     * @param number the number; empty if the kernel does not provide it
     */
    void gauge(String name, @Nullable String unit, String description, Function<T, OptionalLong> number) {
        gauge(name, unit, description, number, "", "");
    }

    void gauge(
            String name,
            @Nullable String unit,
            String description,
            Function<T, OptionalLong> number,
            String tagKey,
            String tagValue) {
        if (number.apply(first).isPresent()) {
            Gauge.builder(name, () -> value(numbers -> boxed(number.apply(numbers))))
                    .tags(tags(tagKey, tagValue))
                    .baseUnit(unit)
                    .description(description)
                    .register(registry);
        }
    }

    /**
     * Registers a number of the kernel under the name in its table.
     *
     * @param counter the entry of the table
     * @param number its number; for a ratio it is empty while that is 0 to 0
     * @param isProvided whether this kernel provides the number, or what a ratio is calculated from
     */
    void add(KsmCounter counter, KsmCounter.Metric metric, Function<T, Optional<Number>> number, boolean isProvided) {
        if (!isProvided) {
            return;
        }
        Tags all = tags(metric.tagKey(), metric.tagValue());
        if (counter.kind() == KsmCounter.Kind.COUNTER) {
            // Registries lose count if a counter decreases or is not a number for a while.
            LongAccumulator max = new LongAccumulator(
                    Math::max, number.apply(first).map(Number::longValue).orElse(0L));
            FunctionCounter.builder(metric.name(), max, weaklyHeld -> {
                        T numbers = reading.get();
                        if (numbers != null) {
                            number.apply(numbers).ifPresent(value -> max.accumulate(value.longValue()));
                        }
                        return max.get();
                    })
                    .tags(all)
                    .baseUnit(counter.unit())
                    .description(metric.description())
                    .register(registry);
        } else if (counter.unit().equals("ms")) {
            TimeGauge.builder(metric.name(), () -> value(number), TimeUnit.MILLISECONDS)
                    .tags(all)
                    .description(metric.description())
                    .register(registry);
        } else {
            Gauge.builder(metric.name(), () -> value(number))
                    .tags(all)
                    .baseUnit(counter == KsmCounter.RUN ? null : counter.unit())
                    .description(metric.description())
                    .register(registry);
        }
    }

    private Tags tags(String key, String value) {
        return key.isEmpty() ? tags : tags.and(key, value);
    }

    private static Optional<Number> boxed(OptionalLong number) {
        return number.isPresent() ? Optional.of(number.getAsLong()) : Optional.empty();
    }

    private double value(Function<T, Optional<Number>> number) {
        T numbers = reading.get();
        return numbers == null
                ? Double.NaN
                : number.apply(numbers).map(Number::doubleValue).orElse(Double.NaN);
    }
}
