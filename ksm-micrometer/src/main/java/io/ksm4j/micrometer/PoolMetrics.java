// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.micrometer;

import io.ksm4j.pool.MergePool;
import io.ksm4j.pool.PoolStats;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tag;
import io.micrometer.core.instrument.Tags;
import io.micrometer.core.instrument.binder.BaseUnits;
import io.micrometer.core.instrument.binder.MeterBinder;
import java.util.List;
import java.util.function.ToLongFunction;

/**
 * Meters of a {@link MergePool}.
 *
 * <pre>{@code
 * new PoolMetrics(pool, Tags.of("pool", "prices")).bindTo(registry);
 * }</pre>
 *
 * <table>
 * <caption>The meters</caption>
 * <tr><th>name<th>unit<th>meaning
 * <tr><td>{@code ksm.pool.capacity}<td>bytes<td>{@link PoolStats#capacityBytes}
 * <tr><td>{@code ksm.pool.used}<td>bytes<td>{@link PoolStats#usedBytes}
 * <tr><td>{@code ksm.pool.logical}<td>bytes<td>{@link PoolStats#logicalBytes}
 * <tr><td>{@code ksm.pool.values}<td>bytes<td>{@link PoolStats#valueBytes}
 * <tr><td>{@code ksm.pool.retained}<td>bytes<td>{@link PoolStats#retainedBytes}
 * <tr><td>{@code ksm.pool.index}<td>bytes<td>{@link PoolStats#indexBytes}
 * <tr><td>{@code ksm.pool.blocks}<td>blocks<td>{@link PoolStats#blocks}
 * <tr><td>{@code ksm.pool.shared.stores}<td>pages<td>counter: {@link PoolStats#sharedStores}; starts at 0 again when
 *     the pool is cleared
 * </table>
 *
 * <p>Each meter reads the statistics of the pool, which takes a few microseconds. The meters keep the pool reachable,
 * and show its last numbers once it is closed. Safe for use by multiple threads; a binder may be bound to several
 * registries.
 *
 * @since 0.1.0
 */
public final class PoolMetrics implements MeterBinder {

    private final MergePool pool;
    private final Tags tags;

    /**
     * Creates meters of a pool.
     *
     * @param pool the pool
     */
    public PoolMetrics(MergePool pool) {
        this(pool, List.of());
    }

    /**
     * Creates meters of a pool.
     *
     * @param pool the pool
     * @param tags tags for all meters, which tell pools apart
     */
    public PoolMetrics(MergePool pool, Iterable<Tag> tags) {
        this.pool = pool;
        this.tags = Tags.of(tags);
    }

    /**
     * Registers the meters.
     *
     * @param registry the registry; meters that it already has with the same names and tags stay
     */
    @Override
    public void bindTo(MeterRegistry registry) {
        bytes(registry, "ksm.pool.capacity", "The maximum of the memory that the pool uses", PoolStats::capacityBytes);
        bytes(
                registry,
                "ksm.pool.used",
                "Memory of the values; pages that they share count once",
                PoolStats::usedBytes);
        bytes(
                registry,
                "ksm.pool.logical",
                "What the values would use if they shared nothing",
                PoolStats::logicalBytes);
        bytes(registry, "ksm.pool.values", "Size of the values without unused ends of pages", PoolStats::valueBytes);
        bytes(
                registry,
                "ksm.pool.retained",
                "Free memory that the pool keeps for new values",
                PoolStats::retainedBytes);
        bytes(registry, "ksm.pool.index", "Heap memory for finding equal pages", PoolStats::indexBytes);
        gauge(registry, "ksm.pool.blocks", "blocks", "Values in the pool", PoolStats::blocks);
        FunctionCounter.builder(
                        "ksm.pool.shared.stores",
                        pool,
                        measured -> measured.stats().sharedStores())
                .tags(tags)
                .baseUnit("pages")
                .description("Pages of values that were in the pool already when they were stored")
                .register(registry);
    }

    private void bytes(MeterRegistry registry, String name, String description, ToLongFunction<PoolStats> number) {
        gauge(registry, name, BaseUnits.BYTES, description, number);
    }

    private void gauge(
            MeterRegistry registry, String name, String unit, String description, ToLongFunction<PoolStats> number) {
        // The function keeps the pool reachable, which a registry does not.
        MergePool measured = pool;
        Gauge.builder(name, () -> number.applyAsLong(measured.stats()))
                .tags(tags)
                .baseUnit(unit)
                .description(description)
                .register(registry);
    }
}
