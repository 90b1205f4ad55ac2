// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.TimeGauge;
import java.util.OptionalDouble;
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

    void gauge(
            String name,
            @Nullable String unit,
            String description,
            Function<T, OptionalLong> number,
            String... moreTags) {
        if (isPresent(number)) {
            Gauge.builder(name, () -> value(number))
                    .tags(tags.and(moreTags))
                    .baseUnit(unit)
                    .description(description)
                    .register(registry);
        }
    }

    void milliseconds(String name, String description, Function<T, OptionalLong> number) {
        if (isPresent(number)) {
            TimeGauge.builder(name, () -> value(number), TimeUnit.MILLISECONDS)
                    .tags(tags)
                    .description(description)
                    .register(registry);
        }
    }

    /**
     * Registers a ratio.
     *
     * @param ratio the ratio; empty if it is 0 to 0 now
     * @param operands present if the kernel provides what the ratio is calculated from
     */
    void ratio(String name, String description, Function<T, OptionalDouble> ratio, Function<T, OptionalLong> operands) {
        if (isPresent(operands)) {
            Gauge.builder(name, () -> {
                        T numbers = reading.get();
                        return numbers == null
                                ? Double.NaN
                                : ratio.apply(numbers).orElse(Double.NaN);
                    })
                    .tags(tags)
                    .baseUnit("ratio")
                    .description(description)
                    .register(registry);
        }
    }

    void counter(String name, String unit, String description, Function<T, OptionalLong> number, String... moreTags) {
        if (isPresent(number)) {
            // Registries lose count if a counter decreases or is not a number for a while.
            LongAccumulator max =
                    new LongAccumulator(Math::max, number.apply(first).getAsLong());
            FunctionCounter.builder(name, max, weaklyHeld -> {
                        T numbers = reading.get();
                        if (numbers != null) {
                            number.apply(numbers).ifPresent(max::accumulate);
                        }
                        return max.get();
                    })
                    .tags(tags.and(moreTags))
                    .baseUnit(unit)
                    .description(description)
                    .register(registry);
        }
    }

    private boolean isPresent(Function<T, OptionalLong> number) {
        return number.apply(first).isPresent();
    }

    private double value(Function<T, OptionalLong> number) {
        T numbers = reading.get();
        OptionalLong value = numbers == null ? OptionalLong.empty() : number.apply(numbers);
        return value.isPresent() ? value.getAsLong() : Double.NaN;
    }
}
