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
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Predicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Stores keys on the heap and values in a pool. Caffeine decides which entries are evicted, and when entries expire.
 *
 * <p>A block belongs to one entry, which enters the cache once and leaves it once; then {@link #removed} closes the
 * block. A reader that finds the block closed looks up the key again. Thread-safe.
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

        /** Reads the value. A concurrent overwrite is seen completely or not at all. */
        synchronized void read(Reader reader) {
            reader.read(block);
        }

        /**
         * Writes a value of the same length into the block, which avoids returning its pages and allocating new ones.
         */
        synchronized boolean overwrite(ByteBuf value) {
            if (block.size() != value.readableBytes()) {
                return false;
            }
            block.put(0, value.nioBuffer());
            return true;
        }

        Duration timeToLive() {
            return deadline == NEVER ? FOREVER : Duration.ofMillis(Math.max(0, deadline - now()));
        }
    }

    private record Tenant(LongAdder keys, LongAdder valueBytes) {}

    private final MergePool pool;
    private final long maxBytes;
    private final long pageSize;
    private final Cache<Key, Entry> cache;
    private final List<Tenant> tenants;
    private final LongAdder hits = new LongAdder();
    private final LongAdder misses = new LongAdder();
    private final LongAdder evicted = new LongAdder();
    private final LongAdder expired = new LongAdder();

    /** Creates a store. Closing the store closes the pool. */
    Store(MergePool pool, long pageSize, int tenants) {
        this.pool = pool;
        this.pageSize = pageSize;
        this.maxBytes = pool.stats().capacityBytes();
        this.tenants = IntStream.range(0, tenants)
                .mapToObj(index -> new Tenant(new LongAdder(), new LongAdder()))
                .toList();
        this.cache = Caffeine.newBuilder()
                .maximumWeight(maxBytes)
                .weigher(this::weight)
                .expireAfter(Expiry.writing((Key key, Entry entry) -> entry.timeToLive()))
                .removalListener(this::removed)
                // The thread that stores a value also evicts others, so that storing is never faster than evicting.
                .executor(Runnable::run)
                .scheduler(Scheduler.systemScheduler())
                .build();
    }

    /** Returns milliseconds of a monotonic clock. */
    static long now() {
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime());
    }

    private int weight(Key key, Entry entry) {
        return (int) Math.min(Integer.MAX_VALUE, needed(key, entry.block.size()));
    }

    private long needed(Key key, long valueBytes) {
        return wholePages(valueBytes) + key.bytes() + ENTRY_BYTES;
    }

    private long wholePages(long bytes) {
        return (bytes + pageSize - 1) / pageSize * pageSize;
    }

    /** Reads the value of a key, and returns whether there is such a key. */
    boolean get(Key key, Reader reader) {
        Entry entry = cache.getIfPresent(key);
        while (entry != null && !read(key, entry, reader)) {
            entry = cache.getIfPresent(key);
        }
        (entry == null ? misses : hits).increment();
        return entry != null;
    }

    /** Reads a value, and returns false if the entry is no longer in the cache. */
    private boolean read(Key key, Entry entry, Reader reader) {
        try {
            entry.read(reader);
            return true;
        } catch (IllegalStateException e) {
            if (cache.getIfPresent(key) == entry) {
                throw e;
            }
            return false;
        }
    }

    boolean contains(Key key) {
        boolean present = cache.getIfPresent(key) != null;
        (present ? hits : misses).increment();
        return present;
    }

    /**
     * Stores a value.
     *
     * @throws NoRoomException if it does not fit, even if all other entries are evicted
     */
    void set(Key key, ByteBuf value, long deadline) {
        if (!overwrite(key, value, deadline)) {
            cache.put(key, newEntry(key, value, deadline));
        }
    }

    /**
     * Stores a value if the condition holds.
     *
     * @return whether it was stored
     * @throws NoRoomException if it does not fit, even if all other entries are evicted
     */
    boolean set(Key key, ByteBuf value, long deadline, Condition condition) {
        if (condition != Condition.ABSENT && overwrite(key, value, deadline)) {
            return true;
        }
        Predicate<@Nullable Entry> mayReplace =
                old -> condition != (old == null ? Condition.PRESENT : Condition.ABSENT);
        // Checked first, so that nothing is evicted for a value that is then not stored.
        return mayReplace.test(cache.getIfPresent(key)) && replace(key, newEntry(key, value, deadline), mayReplace);
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

    /** Overwrites the value in place. Returns false if there is no such key, or if its value has a different length. */
    private boolean overwrite(Key key, ByteBuf value, long deadline) {
        boolean[] overwritten = {false};
        cache.asMap().computeIfPresent(key, (k, entry) -> {
            overwritten[0] = entry.overwrite(value);
            if (overwritten[0] && deadline != SAME) {
                entry.deadline = deadline;
            }
            return entry;
        });
        return overwritten[0];
    }

    /**
     * Stores many values.
     *
     * @throws NoRoomException if they do not all fit, even if all other entries are evicted; then none is stored and
     *     none is evicted
     */
    void setAll(List<Key> keys, List<ByteBuf> values) {
        long needed = IntStream.range(0, keys.size())
                .mapToLong(i -> needed(keys.get(i), values.get(i).readableBytes()))
                .sum();
        if (needed > maxBytes) {
            throw new NoRoomException();
        }
        List<Entry> entries = new ArrayList<>(keys.size());
        try {
            for (int i = 0; i < keys.size(); i++) {
                entries.add(newEntry(keys.get(i), values.get(i), NEVER));
            }
        } catch (RuntimeException | Error e) {
            for (int i = 0; i < entries.size(); i++) {
                discard(keys.get(i), entries.get(i));
            }
            throw e;
        }
        for (int i = 0; i < entries.size(); i++) {
            cache.put(keys.get(i), entries.get(i));
        }
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
        while (true) {
            Entry old = cache.getIfPresent(key);
            String[] text = {"0"};
            if (old != null && !read(key, old, block -> text[0] = shortText(block))) {
                continue;
            }
            long sum = Math.addExact(RedisInteger.parse(text[0]), 1);
            ByteBuf value = Unpooled.copiedBuffer(Long.toString(sum), StandardCharsets.US_ASCII);
            // The value may have been overwritten in place since it was read.
            if (replace(
                    key,
                    newEntry(key, value, SAME),
                    now -> now == old && (now == null || shortText(now.block).equals(text[0])))) {
                return sum;
            }
        }
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
        return cache.asMap().computeIfPresent(key, (k, entry) -> {
                    entry.deadline = deadline;
                    return entry;
                })
                != null;
    }

    /** Returns the deadline of a key, or null if there is no such key. */
    @Nullable
    Long deadline(Key key) {
        Entry entry = cache.getIfPresent(key);
        return entry == null ? null : entry.deadline;
    }

    boolean delete(Key key) {
        return cache.asMap().remove(key) != null;
    }

    void clear() {
        cache.invalidateAll();
    }

    void clear(int tenant) {
        cache.asMap().keySet().removeIf(key -> key.tenant == tenant);
    }

    int tenants() {
        return tenants.size();
    }

    long keys(int tenant) {
        return tenants.get(tenant).keys.sum();
    }

    private Entry newEntry(Key key, ByteBuf value, long deadline) {
        Entry entry = new Entry(newBlock(key, value), deadline);
        Tenant tenant = tenants.get(key.tenant);
        tenant.keys.increment();
        tenant.valueBytes.add(entry.block.size());
        return entry;
    }

    private MergeBlock newBlock(Key key, ByteBuf value) {
        if (needed(key, value.readableBytes()) > maxBytes) {
            throw new NoRoomException();
        }
        while (true) {
            try {
                return pool.store(value.nioBuffer());
            } catch (PoolExhaustedException e) {
                if (!evict(wholePages(value.readableBytes()))) {
                    throw new NoRoomException();
                }
            }
        }
    }

    /** Evicts entries before Caffeine would; returns false if there are none left. */
    private boolean evict(long bytes) {
        cache.cleanUp();
        long[] found = {0};
        List<CacheEntry<Key, Entry>> coldest = cache.policy()
                .eviction()
                .orElseThrow()
                .coldest(all -> all.takeWhile(entry -> {
                            boolean more = found[0] < bytes;
                            found[0] += wholePages(entry.getValue().block.size());
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

    /** Returns a snapshot with the numbers of this store and the given ones. */
    Snapshot snapshot(long uptimeSeconds, long commands, int clients, Snapshot.Merging merging, Snapshot.Ksmd ksmd) {
        List<Snapshot.Tenant> filled = IntStream.range(0, tenants.size())
                .mapToObj(index -> new Snapshot.Tenant(
                        index, keys(index), tenants.get(index).valueBytes.sum()))
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
                pool.stats(),
                merging,
                ksmd);
    }

    /** Frees all memory. There must be no clients any more. */
    @Override
    public void close() {
        cache.invalidateAll();
        pool.close();
    }
}
