// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import com.github.benmanes.caffeine.cache.Cache;
import com.github.benmanes.caffeine.cache.Caffeine;
import com.github.benmanes.caffeine.cache.Expiry;
import com.github.benmanes.caffeine.cache.Policy.CacheEntry;
import com.github.benmanes.caffeine.cache.RemovalCause;
import com.github.benmanes.caffeine.cache.Scheduler;
import io.ksm4j.pool.MergeBlock;
import io.ksm4j.pool.MergePool;
import io.ksm4j.pool.PoolExhaustedException;
import io.ksm4j.pool.PoolStats;
import io.ksm4j.stats.RegionStats;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Stores keys on the heap and values in pools. Caffeine decides which entries are evicted, and when entries expire.
 *
 * <p>A block belongs to one entry, which enters the cache once and leaves it once; then {@link Contents#removed} closes
 * the block. Blocks are never overwritten, because they share pages. A reader that finds the block closed looks up the
 * key again.
 *
 * <p><b>The maximum.</b> Caffeine weighs an entry by all pages of its value, but pages that values share are held once.
 * So the maximum weight is what the entries weigh now, plus the memory that is left: a value that shares nothing then
 * still fits. It is set again whenever a part of that memory may have been used.
 *
 * <p>Thread-safe.
 */
final class Store implements AutoCloseable {

    /** The deadline of entries that do not expire, in milliseconds of {@link #now()}. */
    static final long NEVER = Long.MAX_VALUE;

    /** Keeps the deadline of the existing entry; {@link #NEVER} if there is none. */
    static final long SAME = -1;

    /** The approximate heap memory of an entry in addition to the name of its key. */
    private static final int ENTRY_BYTES = 256;

    private static final Duration FOREVER = Duration.ofNanos(Long.MAX_VALUE);

    /** The condition under which a value is stored. */
    enum Condition {
        ALWAYS,
        ABSENT,
        PRESENT
    }

    /** Reads a value. */
    @FunctionalInterface
    interface Reader {

        /** Reads a value. If {@link MergeBlock#get} throws, the exception is passed on and nothing has been read. */
        void read(MergeBlock block);
    }

    /** A value does not fit, even if all other entries are evicted. */
    static final class NoRoomException extends RuntimeException {

        private static final long serialVersionUID = 1;
    }

    private static final class Entry {

        final MergeBlock block;
        volatile long deadline;

        Entry(MergeBlock block, long deadline) {
            this.block = block;
            this.deadline = deadline;
        }

        Duration timeToLive() {
            return deadline == NEVER ? FOREVER : Duration.ofMillis(Math.max(0, deadline - now()));
        }
    }

    private record Tenant(LongAdder keys, LongAdder valueBytes) {}

    private final TenantPools source;
    private final long maxBytes;
    private final long pageSize;
    private final LongAdder hits = new LongAdder();
    private final LongAdder misses = new LongAdder();
    private final LongAdder evicted = new LongAdder();
    private final LongAdder expired = new LongAdder();
    private final AtomicReference<Contents> contents;

    /** Creates a store. Closing the store closes its pools. */
    Store(TenantPools source) {
        this.source = source;
        this.pageSize = source.pageSize();
        this.maxBytes = source.capacityBytes();
        this.contents = new AtomicReference<>(new Contents());
    }

    /** Everything between two calls of {@link #clear()}, which is replaced as a whole. */
    private final class Contents {

        private final List<TenantPools.Pools> poolsOfTenant = source.open();
        private final List<MergePool> pools = poolsOfTenant.stream()
                .flatMap(TenantPools.Pools::stream)
                .distinct()
                .toList();
        private final List<Tenant> tenants = IntStream.range(0, source.tenants())
                .mapToObj(index -> new Tenant(new LongAdder(), new LongAdder()))
                .toList();
        private final Cache<Key, Entry> cache = Caffeine.newBuilder()
                .maximumWeight(maxBytes)
                .weigher(this::weight)
                .expireAfter(Expiry.writing((Key key, Entry entry) -> entry.timeToLive()))
                .removalListener(this::removed)
                // The thread that stores a value also evicts others, so that storing is never faster than evicting.
                .executor(Runnable::run)
                .scheduler(Scheduler.systemScheduler())
                .build();

        /** How many bytes may be stored until the maximum weight is set again. */
        private final AtomicLong untilAdjusted = new AtomicLong();

        private int weight(Key key, Entry entry) {
            return (int) Math.min(Integer.MAX_VALUE, needed(key, entry.block.size()));
        }

        private Entry newEntry(Key key, ByteBuf value, long deadline) {
            MergeBlock block = newBlock(key, value);
            Entry entry;
            boolean done = false;
            try {
                entry = new Entry(block, deadline);
                done = true;
            } finally {
                if (!done) {
                    block.close();
                }
            }
            Tenant tenant = tenants.get(key.tenant);
            tenant.keys.increment();
            tenant.valueBytes.add(entry.block.size());
            return entry;
        }

        private MergeBlock newBlock(Key key, ByteBuf value) {
            long needed = needed(key, value.readableBytes());
            if (needed > maxBytes) {
                throw new NoRoomException();
            }
            if (untilAdjusted.addAndGet(-needed) <= 0) {
                adjustMaximum();
            }
            while (true) {
                try {
                    return poolsOfTenant
                            .get(key.tenant)
                            .forValue(value.readableBytes())
                            .store(value.nioBuffer());
                } catch (PoolExhaustedException e) {
                    if (!evict(value.readableBytes())) {
                        throw new NoRoomException();
                    }
                }
            }
        }

        private void adjustMaximum() {
            var eviction = cache.policy().eviction().orElseThrow();
            long weight = eviction.weightedSize().orElseThrow();
            PoolStats stats = poolStats(pools);
            long heap = Math.max(0, weight - stats.logicalBytes());
            long left = maxBytes - stats.usedBytes() - stats.retainedBytes() - heap;
            untilAdjusted.set(Math.max(left / 4, maxBytes / 1024));
            if (left < 0) {
                // What the coldest entries share with others is not freed, so more of them must go the next time.
                pools.forEach(MergePool::trim);
                left = Math.min(0, left + stats.retainedBytes());
            }
            eviction.setMaximum(Math.max(0, weight + left));
        }

        /**
         * Evicts entries before Caffeine would, of the kind of values that has no room.
         *
         * @return false if there are none left
         */
        private boolean evict(long bytes) {
            cache.cleanUp();
            boolean isSmall = bytes < pageSize;
            long[] found = {0};
            List<CacheEntry<Key, Entry>> coldest = cache.policy()
                    .eviction()
                    .orElseThrow()
                    .coldest(all -> all.filter(entry -> entry.getValue().block.size() < pageSize == isSmall)
                            .takeWhile(entry -> {
                                boolean more = found[0] < rounded(bytes);
                                found[0] += rounded(entry.getValue().block.size());
                                return more;
                            })
                            .toList());
            for (CacheEntry<Key, Entry> entry : coldest) {
                if (cache.asMap().remove(entry.getKey(), entry.getValue())) {
                    evicted.increment();
                }
            }
            return !coldest.isEmpty();
        }

        /** Discards an entry that was in the cache. No other code does this. */
        private void removed(@Nullable Key key, @Nullable Entry entry, RemovalCause cause) {
            if (key == null || entry == null) {
                throw new IllegalStateException("keys and values are held strongly");
            }
            if (cause == RemovalCause.SIZE) {
                evicted.increment();
            } else if (cause == RemovalCause.EXPIRED) {
                expired.increment();
            }
            discard(key, entry);
        }

        private void discard(Key key, Entry entry) {
            Tenant tenant = tenants.get(key.tenant);
            tenant.keys.decrement();
            tenant.valueBytes.add(-entry.block.size());
            entry.block.close();
        }

        /** Reads a value, and returns false if the entry is no longer in the cache. */
        private boolean read(Key key, Entry entry, Reader reader) {
            try {
                reader.read(entry.block);
                return true;
            } catch (IllegalStateException e) {
                if (contents.get() == this && cache.getIfPresent(key) == entry) {
                    throw e;
                }
                return false;
            }
        }

        /** Replaces the current entry, or none, if the predicate allows it; otherwise discards the new entry. */
        private boolean replace(Key key, Entry entry, Predicate<@Nullable Entry> mayReplace) {
            Entry now = null;
            try {
                now = cache.asMap().compute(key, (k, old) -> {
                    if (!mayReplace.test(old)) {
                        return old;
                    }
                    if (entry.deadline == SAME) {
                        entry.deadline = old == null ? NEVER : old.deadline;
                    }
                    return entry;
                });
            } finally {
                if (now != entry) {
                    discard(key, entry);
                }
            }
            return now == entry;
        }

        private void close() {
            pools.forEach(MergePool::close);
        }
    }

    /** Returns milliseconds of a monotonic clock. */
    static long now() {
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime());
    }

    private long needed(Key key, long valueBytes) {
        return rounded(valueBytes) + key.bytes() + ENTRY_BYTES;
    }

    /** Returns how much memory a value takes that shares nothing; for values below a page, about that. */
    private long rounded(long bytes) {
        return bytes < pageSize
                ? Math.min(pageSize, bytes + bytes / 8 + 16)
                : (bytes + pageSize - 1) / pageSize * pageSize;
    }

    /** Performs an action, again if the contents were replaced and their pools closed since it began. */
    private <T> T withContents(Function<Contents, T> action) {
        while (true) {
            Contents now = contents.get();
            try {
                return action.apply(now);
            } catch (IllegalStateException e) {
                if (now == contents.get()) {
                    throw e;
                }
            }
        }
    }

    /** Reads the value of a key, and returns whether there is such a key. */
    boolean get(Key key, Reader reader) {
        Contents now = contents.get();
        Entry entry = now.cache.getIfPresent(key);
        while (entry != null && !now.read(key, entry, reader)) {
            now = contents.get();
            entry = now.cache.getIfPresent(key);
        }
        (entry == null ? misses : hits).increment();
        return entry != null;
    }

    boolean contains(Key key) {
        boolean present = contents.get().cache.getIfPresent(key) != null;
        (present ? hits : misses).increment();
        return present;
    }

    /**
     * Stores a value.
     *
     * @throws NoRoomException if it does not fit, even if all other entries are evicted
     */
    void set(Key key, ByteBuf value, long deadline) {
        if (deadline == SAME) {
            set(key, value, deadline, Condition.ALWAYS);
            return;
        }
        withContents(now -> {
            now.cache.put(key, now.newEntry(key, value, deadline));
            return true;
        });
    }

    /**
     * Stores a value if the condition holds.
     *
     * @return whether it was stored
     * @throws NoRoomException if it does not fit, even if all other entries are evicted
     */
    boolean set(Key key, ByteBuf value, long deadline, Condition condition) {
        Predicate<@Nullable Entry> mayReplace =
                old -> condition != (old == null ? Condition.PRESENT : Condition.ABSENT);
        // Checked first, so that nothing is evicted for a value that is then not stored.
        return withContents(now -> mayReplace.test(now.cache.getIfPresent(key))
                && now.replace(key, now.newEntry(key, value, deadline), mayReplace));
    }

    /**
     * Stores many values.
     *
     * @throws NoRoomException if they do not all fit, even if all other entries are evicted; then none is stored
     */
    void setAll(List<Key> keys, List<ByteBuf> values) {
        long needed = IntStream.range(0, keys.size())
                .mapToLong(i -> needed(keys.get(i), values.get(i).readableBytes()))
                .sum();
        if (needed > maxBytes) {
            throw new NoRoomException();
        }
        withContents(now -> {
            List<Entry> entries = new ArrayList<>(keys.size());
            try {
                for (int i = 0; i < keys.size(); i++) {
                    entries.add(now.newEntry(keys.get(i), values.get(i), NEVER));
                }
            } catch (RuntimeException | Error e) {
                for (int i = 0; i < entries.size(); i++) {
                    now.discard(keys.get(i), entries.get(i));
                }
                throw e;
            }
            for (int i = 0; i < entries.size(); i++) {
                now.cache.put(keys.get(i), entries.get(i));
            }
            return true;
        });
    }

    /**
     * Adds one to the number that is the value of a key. A missing key counts as 0.
     *
     * @return the sum
     * @throws NumberFormatException if the value is not a number
     * @throws ArithmeticException if the sum would overflow
     * @throws NoRoomException if the sum does not fit, even if all other entries are evicted
     */
    long increment(Key key) {
        return withContents(now -> {
            while (true) {
                Entry old = now.cache.getIfPresent(key);
                String[] text = {"0"};
                if (old != null && !now.read(key, old, block -> text[0] = shortText(block))) {
                    if (now != contents.get()) {
                        throw new IllegalStateException("the contents were replaced");
                    }
                    continue;
                }
                long sum = Math.addExact(RedisInteger.parse(text[0]), 1);
                ByteBuf value = Unpooled.copiedBuffer(Long.toString(sum), StandardCharsets.US_ASCII);
                if (now.replace(key, now.newEntry(key, value, SAME), current -> current == old)) {
                    return sum;
                }
            }
        });
    }

    /** Returns a value as text; empty if it is too long for a number. */
    private static String shortText(MergeBlock block) {
        return block.size() > 20 ? "" : new String(block.toByteArray(), StandardCharsets.US_ASCII);
    }

    /** Sets a deadline, and returns whether there is such a key. */
    boolean expire(Key key, long deadline) {
        if (deadline <= now()) {
            return delete(key);
        }
        return contents.get().cache.asMap().computeIfPresent(key, (k, entry) -> {
                    entry.deadline = deadline;
                    return entry;
                })
                != null;
    }

    /** Returns the deadline of a key, or null if there is no such key. */
    @Nullable
    Long deadline(Key key) {
        Entry entry = contents.get().cache.getIfPresent(key);
        return entry == null ? null : entry.deadline;
    }

    boolean delete(Key key) {
        return contents.get().cache.asMap().remove(key) != null;
    }

    /**
     * Removes everything, regardless of how much that is. Another thread returns the memory to the kernel, because no
     * client should have to wait for it.
     */
    void clear() {
        Contents old = contents.getAndSet(new Contents());
        try {
            Thread closing = new Thread(old::close, "flush");
            closing.setDaemon(true);
            closing.start();
        } catch (OutOfMemoryError noThread) {
            old.close();
        }
    }

    void clear(int tenant) {
        contents.get().cache.asMap().keySet().removeIf(key -> key.tenant == tenant);
    }

    int tenants() {
        return source.tenants();
    }

    long keys(int tenant) {
        return contents.get().tenants.get(tenant).keys.sum();
    }

    private PoolStats poolStats(List<MergePool> pools) {
        List<PoolStats> all = pools.stream().map(MergePool::stats).toList();
        return new PoolStats(
                maxBytes,
                all.stream().mapToLong(PoolStats::usedBytes).sum(),
                all.stream().mapToLong(PoolStats::logicalBytes).sum(),
                all.stream().mapToLong(PoolStats::valueBytes).sum(),
                all.stream().mapToLong(PoolStats::blocks).sum(),
                all.stream().mapToLong(PoolStats::sharedStores).sum(),
                all.stream().mapToLong(PoolStats::retainedBytes).sum(),
                all.stream().mapToLong(PoolStats::indexBytes).sum(),
                all.stream().mapToInt(PoolStats::regions).sum(),
                all.stream().mapToLong(PoolStats::addressBytes).sum());
    }

    /** Reads how much memory the values occupy. */
    RegionStats mergeStats() {
        return withContents(
                now -> now.pools.stream().map(MergePool::mergeStats).reduce(RegionStats.NONE, RegionStats::plus));
    }

    /** Returns how much memory values save by sharing pages. */
    long sharedBytes() {
        return poolStats(contents.get().pools).sharedBytes();
    }

    /** Returns a snapshot with the numbers of this store and the given ones. */
    Snapshot snapshot(long uptimeSeconds, long commands, int clients, Snapshot.Merging merging, Snapshot.Ksmd ksmd) {
        Contents now = contents.get();
        List<Snapshot.Tenant> filled = IntStream.range(0, tenants())
                .mapToObj(index -> new Snapshot.Tenant(
                        index,
                        now.tenants.get(index).keys.sum(),
                        now.tenants.get(index).valueBytes.sum()))
                .filter(tenant -> tenant.keys() > 0)
                .toList();
        return new Snapshot(
                uptimeSeconds,
                filled.stream().mapToLong(Snapshot.Tenant::keys).sum(),
                filled,
                hits.sum(),
                misses.sum(),
                commands,
                evicted.sum(),
                expired.sum(),
                clients,
                poolStats(now.pools),
                merging,
                ksmd);
    }

    /** Frees all memory. There must be no clients any more. */
    @Override
    public void close() {
        contents.get().close();
        source.close();
    }
}
