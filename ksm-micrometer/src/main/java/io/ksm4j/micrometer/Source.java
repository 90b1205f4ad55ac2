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
 * Registers meters of numbers that are read together, but for those that the first reading does not tell. Registries hold the
 * object of a meter weakly and its function strongly: the functions here capture all that they need.
 */
record Source<T>(MeterRegistry registry, Tags tags, SharedReading<T> reading, T first) {

    void gauge(
            String name,
            @Nullable String unit,
            String description,
            Function<T, OptionalLong> number,
            String... moreTags) {
        if (isTold(number)) {
            Gauge.builder(name, () -> value(number))
                    .tags(tags.and(moreTags))
                    .baseUnit(unit)
                    .description(description)
                    .register(registry);
        }
    }

    void milliseconds(String name, String description, Function<T, OptionalLong> number) {
        if (isTold(number)) {
            TimeGauge.builder(name, () -> value(number), TimeUnit.MILLISECONDS)
                    .tags(tags)
                    .description(description)
                    .register(registry);
        }
    }

    /**
     * @param operands told if the ratio is told, also where it is 0 to 0 for now
     */
    void ratio(String name, String description, Function<T, OptionalDouble> ratio, Function<T, OptionalLong> operands) {
        if (isTold(operands)) {
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
        if (isTold(number)) {
            // A counter that goes back, or is no number for a while, makes registries lose count.
            LongAccumulator highest =
                    new LongAccumulator(Math::max, number.apply(first).getAsLong());
            FunctionCounter.builder(name, highest, weaklyHeld -> {
                        T numbers = reading.get();
                        if (numbers != null) {
                            number.apply(numbers).ifPresent(highest::accumulate);
                        }
                        return highest.get();
                    })
                    .tags(tags.and(moreTags))
                    .baseUnit(unit)
                    .description(description)
                    .register(registry);
        }
    }

    private boolean isTold(Function<T, OptionalLong> number) {
        return number.apply(first).isPresent();
    }

    private double value(Function<T, OptionalLong> number) {
        T numbers = reading.get();
        OptionalLong value = numbers == null ? OptionalLong.empty() : number.apply(numbers);
        return value.isPresent() ? value.getAsLong() : Double.NaN;
    }
}
