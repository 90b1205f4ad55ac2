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
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Function;
import java.util.function.IntFunction;
import java.util.function.IntToLongFunction;
import java.util.function.Predicate;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Stores keys on the heap and values in pools. Caffeine decides which entries are evicted, and when entries expire.
 *
 * <p>A value is a block, or a {@link Counter}, and has an {@link Expiring} around it if it expires. The code that takes
 * a value out of the cache discards it, which closes the block; {@link Contents#evicted} does that for Caffeine. Blocks
 * are never overwritten, because they share pages. A reader that finds the block closed looks up the key again.
 *
 * <p><b>The maximum.</b> Caffeine weighs an entry by all pages of its value, but pages that values share are held once.
 * So the maximum weight is what the entries weigh now, plus the memory that is left: a value that shares nothing then
 * still fits. It is set again whenever a part of that memory may have been used. Likewise for what entries take of the
 * heap, which has a maximum of its own.
 *
 * <p>Thread-safe.
 */
final class Store implements AutoCloseable {

    /** The deadline of values that do not expire, in milliseconds of {@link #now()}. */
    static final long NEVER = Long.MAX_VALUE;

    /** Keeps the deadline of the existing value; {@link #NEVER} if there is none. */
    static final long SAME = -1;

    /** The approximate heap memory of an entry in addition to the name of a long key. */
    private static final int ENTRY_BYTES = 208;

    private static final int MAX_CLOSING = 2;

    private static final Duration FOREVER = Duration.ofNanos(Long.MAX_VALUE);

    /** The condition under which a value is stored. */
    enum Condition {
        ALWAYS,
        ABSENT,
        PRESENT
    }

    /** What {@link #expire} compares a new deadline with. */
    enum ExpireCondition {
        ALWAYS,
        HAS_NONE,
        HAS_ONE,
        LATER,
        EARLIER,
        EARLIER_THAN_ONE;

        boolean allows(long before, long after) {
            return switch (this) {
                case ALWAYS -> true;
                case HAS_NONE -> before == NEVER;
                case HAS_ONE -> before != NEVER;
                case LATER -> after > before;
                case EARLIER -> after < before;
                case EARLIER_THAN_ONE -> before != NEVER && after < before;
            };
        }
    }

    /** Computes a new value from the bytes of the current one. */
    interface Change {

        /**
         * Computes the new value.
         *
         * @param old the bytes of the current value; empty if there is none
         * @param isPresent whether there is one
         * @return the new value, or null to leave everything as it is
         */
        byte @Nullable [] apply(byte[] old, boolean isPresent);
    }

    /** Reads a value. */
    interface Reader {

        /** Reads a value. If {@link MergeBlock#get} throws, the exception is passed on and nothing has been read. */
        void read(MergeBlock block);

        /** Reads a value that consists of the digits of a number. */
        void read(long number);
    }

    /** A value does not fit, even if all other entries are evicted. */
    static final class NoRoomException extends RuntimeException {

        private static final long serialVersionUID = 1;
    }

    /** A number that is counted in place. Changed only within {@code compute} of the cache. */
    private static final class Counter {

        private volatile long number;

        Counter(long number) {
            this.number = number;
        }

        long add(long more) {
            long sum = Math.addExact(number, more);
            number = sum;
            return sum;
        }
    }

    /**
     * A value that expires.
     *
     * @param content a block or a counter
     */
    private record Expiring(Object content, long deadline) {

        Duration timeToLive() {
            return Duration.ofMillis(Math.max(0, deadline - now()));
        }
    }

    /** Returns a block or a counter, or null. */
    private static @Nullable Object content(@Nullable Object value) {
        return value instanceof Expiring expiring ? expiring.content : value;
    }

    private static void read(Object content, Reader reader) {
        if (content instanceof Counter counter) {
            reader.read(counter.number);
        } else {
            reader.read((MergeBlock) content);
        }
    }

    private static long deadline(Object value) {
        return value instanceof Expiring expiring ? expiring.deadline : NEVER;
    }

    private static Object value(Object content, long deadline) {
        return deadline == NEVER ? content : new Expiring(content, deadline);
    }

    /** Returns the number of bytes in the pool. */
    private static int size(@Nullable Object content) {
        return content instanceof MergeBlock block ? block.size() : 0;
    }

    private record Tenant(LongAdder keys, LongAdder valueBytes, LongAdder heapBytes) {}

    final Watches watches = new Watches();

    private final TenantPools source;
    private final long maxBytes;

    /** What entries may take of the heap. */
    private final long maxHeapBytes;

    private final long pageSize;
    private final LongAdder hits = new LongAdder();
    private final LongAdder misses = new LongAdder();
    private final LongAdder evicted = new LongAdder();
    private final LongAdder expired = new LongAdder();
    private final AtomicReference<Contents> contents;

    /** Acquired while another thread closes replaced contents. */
    private final Semaphore closing = new Semaphore(MAX_CLOSING);

    /**
     * Creates a store. Closing the store closes its pools.
     *
     * @param maxHeapBytes what entries may take of the heap; more are evicted
     */
    Store(TenantPools source, long maxHeapBytes) {
        this.source = source;
        this.maxHeapBytes = maxHeapBytes;
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
                .mapToObj(index -> new Tenant(new LongAdder(), new LongAdder(), new LongAdder()))
                .toList();
        private final Cache<Key, Object> cache = Caffeine.newBuilder()
                .maximumWeight(maxBytes)
                .weigher(this::weight)
                .expireAfter(Expiry.writing((Key key, Object value) ->
                        value instanceof Expiring expiring ? expiring.timeToLive() : FOREVER))
                .evictionListener(this::evicted)
                // The thread that stores a value also evicts others, so that storing is never faster than evicting.
                .executor(Runnable::run)
                .scheduler(Scheduler.systemScheduler())
                .build();

        /** How many bytes may be stored until the maximum weight is set again. */
        private final AtomicLong untilAdjusted = new AtomicLong();

        private int weight(Key key, Object value) {
            return (int) Math.min(Integer.MAX_VALUE, needed(key, size(content(value))));
        }

        /** Returns a block or a counter that counts as one of the tenant's until it is discarded. */
        private Object counted(Key key, Object content) {
            Tenant tenant = tenants.get(key.tenant());
            tenant.keys.increment();
            tenant.valueBytes.add(size(content));
            tenant.heapBytes.add(heapBytesOf(key));
            return content;
        }

        private Object newBlock(Key key, ByteBuffer value) {
            reserve(needed(key, value.remaining()));
            while (true) {
                try {
                    return counted(
                            key,
                            poolsOfTenant
                                    .get(key.tenant())
                                    .forValue(value.remaining())
                                    .store(value));
                } catch (PoolExhaustedException e) {
                    if (!evict(value.remaining())) {
                        throw new NoRoomException();
                    }
                }
            }
        }

        /** Checks that an entry can have a place, and from time to time sets the maximum weight. */
        private void reserve(long needed) {
            if (needed > maxBytes) {
                throw new NoRoomException();
            }
            if (untilAdjusted.addAndGet(-needed) <= 0) {
                adjustMaximum();
            }
        }

        private long heapBytes() {
            return tenants.stream().mapToLong(tenant -> tenant.heapBytes.sum()).sum();
        }

        private void adjustMaximum() {
            var eviction = cache.policy().eviction().orElseThrow();
            long weight = eviction.weightedSize().orElseThrow();
            PoolStats stats = poolStats(pools);
            long heap = heapBytes();
            long left = maxBytes - stats.usedBytes() - stats.retainedBytes() - heap;
            untilAdjusted.set(
                    Math.max(Math.min(left, maxHeapBytes - heap) / 4, Math.min(maxBytes, maxHeapBytes) / 1024));
            if (heap > maxHeapBytes) {
                // Evicts as large a share of all entries.
                left = Math.min(left, -(long) (weight * ((double) (heap - maxHeapBytes) / heap)));
            }
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
            return evictColdest(
                    entry -> isIn(entry.getValue(), isSmall),
                    entry -> rounded(size(content(entry.getValue()))),
                    rounded(bytes));
        }

        /**
         * Evicts the coldest entries for a large one. Caffeine would evict a new entry above 1 % of the maximum at
         * once, unless it was used more often than those it replaces.
         */
        private void makeRoomIfLarge(Key key, Object content) {
            long needed = needed(key, size(content));
            if (needed <= maxBytes / 100) {
                return;
            }
            cache.cleanUp();
            var eviction = cache.policy().eviction().orElseThrow();
            Object replaced = content(cache.policy().getIfPresentQuietly(key));
            long freed = replaced == null ? 0 : needed(key, size(replaced));
            long excess = eviction.weightedSize().orElseThrow() + needed - freed - eviction.getMaximum();
            evictColdest(entry -> !entry.getKey().equals(key), CacheEntry::weight, excess);
        }

        /**
         * Evicts the coldest entries of some kind.
         *
         * @param size what the eviction of an entry is worth
         * @param needed the sum of these sizes that is needed
         * @return false if there are none
         */
        private boolean evictColdest(
                Predicate<CacheEntry<Key, Object>> kind, ToLongFunction<CacheEntry<Key, Object>> size, long needed) {
            long[] found = {0};
            List<CacheEntry<Key, Object>> coldest = cache.policy()
                    .eviction()
                    .orElseThrow()
                    .coldest(all -> all.filter(kind)
                            .takeWhile(entry -> {
                                boolean more = found[0] < needed;
                                found[0] += size.applyAsLong(entry);
                                return more;
                            })
                            .toList());
            for (CacheEntry<Key, Object> entry : coldest) {
                if (remove(entry.getKey(), entry.getValue())) {
                    evicted.increment();
                }
            }
            return !coldest.isEmpty();
        }

        private boolean isIn(Object value, boolean smallPool) {
            return content(value) instanceof MergeBlock block && block.size() < pageSize == smallPool;
        }

        private void evicted(@Nullable Key key, @Nullable Object value, RemovalCause cause) {
            if (key == null || value == null) {
                throw new IllegalStateException("keys and values are held strongly");
            }
            (cause == RemovalCause.EXPIRED ? expired : evicted).increment();
            discard(key, content(value));
            watches.changed(key);
        }

        /** Closes a block that is no longer in the cache, or has never been. */
        private void discard(Key key, @Nullable Object content) {
            if (content == null) {
                return;
            }
            Tenant tenant = tenants.get(key.tenant());
            tenant.keys.decrement();
            tenant.valueBytes.add(-size(content));
            tenant.heapBytes.add(-heapBytesOf(key));
            if (content instanceof MergeBlock block) {
                block.close();
            }
        }

        /** Adds to a counter, and returns the sum; null if the value is not a counter. */
        private @Nullable Long count(Key key, long by) {
            @Nullable Long[] sum = {null};
            cache.asMap().computeIfPresent(key, (k, value) -> {
                if (content(value) instanceof Counter counter) {
                    sum[0] = counter.add(by);
                }
                return value;
            });
            if (sum[0] != null) {
                watches.changed(key);
            }
            return sum[0];
        }

        private void put(Key key, Object content, long deadline) {
            Object old = null;
            boolean done = false;
            try {
                makeRoomIfLarge(key, content);
                old = cache.asMap().put(key, value(content, deadline));
                done = true;
            } finally {
                if (!done) {
                    abandon(key, content);
                }
            }
            watches.changed(key);
            discard(key, content(old));
        }

        /** Discards content that may or may not have entered the cache. */
        private void abandon(Key key, Object content) {
            cache.asMap().computeIfPresent(key, (k, value) -> content.equals(content(value)) ? null : value);
            discard(key, content);
        }

        private boolean remove(Key key) {
            Object removed = cache.asMap().remove(key);
            if (removed != null) {
                watches.changed(key);
            }
            discard(key, content(removed));
            return removed != null;
        }

        private boolean remove(Key key, Object value) {
            boolean removed = cache.asMap().remove(key, value);
            if (removed) {
                watches.changed(key);
                discard(key, content(value));
            }
            return removed;
        }

        /** Returns the value of a key, after an eviction that is in progress. */
        private @Nullable Object current(Key key) {
            return cache.asMap().computeIfPresent(key, (k, value) -> value);
        }

        /** Reads a value, and returns false if the value is no longer in the cache. */
        private boolean read(Key key, Object content, Reader reader) {
            try {
                Store.read(content, reader);
                return true;
            } catch (IllegalStateException e) {
                if (contents.get() == this && content.equals(content(current(key)))) {
                    throw e;
                }
                return false;
            }
        }

        private boolean replace(Key key, Object content, long deadline, Predicate<@Nullable Object> mayReplace) {
            return replace(key, content, deadline, mayReplace, null);
        }

        /**
         * Replaces the current value, or none, if the predicate allows it; otherwise discards the new content.
         *
         * @param reader reads the value that was replaced
         */
        private boolean replace(
                Key key,
                Object content,
                long deadline,
                Predicate<@Nullable Object> mayReplace,
                @Nullable Reader reader) {
            Object[] discarded = {content};
            boolean done = false;
            try {
                makeRoomIfLarge(key, content);
                cache.asMap().compute(key, (k, old) -> {
                    if (!mayReplace.test(old)) {
                        return old;
                    }
                    long then = deadline == SAME ? old == null ? NEVER : deadline(old) : deadline;
                    Object value = value(content, then);
                    discarded[0] = content(old);
                    return value;
                });
                done = true;
            } finally {
                if (!done) {
                    abandon(key, content);
                }
            }
            boolean replaced = !content.equals(discarded[0]);
            try {
                if (replaced) {
                    watches.changed(key);
                }
                if (reader != null && replaced && discarded[0] != null) {
                    Store.read(discarded[0], reader);
                }
            } finally {
                discard(key, discarded[0]);
            }
            return replaced;
        }

        private void close() {
            pools.forEach(MergePool::close);
        }
    }

    /** Returns the Unix time in milliseconds, of which deadlines are. */
    static long now() {
        return System.currentTimeMillis();
    }

    private long needed(Key key, long valueBytes) {
        return rounded(valueBytes) + heapBytesOf(key);
    }

    /** Returns the approximate heap memory of an entry. */
    private static long heapBytesOf(Key key) {
        return (long) ENTRY_BYTES + key.heapBytes();
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
        Object content = content(now.cache.getIfPresent(key));
        while (content != null && !now.read(key, content, reader)) {
            now = contents.get();
            content = content(now.cache.getIfPresent(key));
        }
        (content == null ? misses : hits).increment();
        return content != null;
    }

    /** Like {@link #contains}, but is not counted as a hit or a miss. */
    boolean isPresent(Key key) {
        return contents.get().cache.getIfPresent(key) != null;
    }

    boolean contains(Key key) {
        boolean present = isPresent(key);
        (present ? hits : misses).increment();
        return present;
    }

    /**
     * Stores a value.
     *
     * @throws NoRoomException if it does not fit, even if all other entries are evicted
     */
    void set(Key key, ByteBuffer value, long deadline) {
        if (deadline == SAME) {
            set(key, value, deadline, Condition.ALWAYS, null);
            return;
        }
        withContents(now -> {
            now.put(key, now.newBlock(key, value), deadline);
            return true;
        });
    }

    /**
     * Stores a value if the condition holds.
     *
     * @param old reads the value that is replaced, if there is one; may be null
     * @return whether it was stored
     * @throws NoRoomException if it does not fit, even if all other entries are evicted
     */
    boolean set(Key key, ByteBuffer value, long deadline, Condition condition, @Nullable Reader old) {
        Predicate<@Nullable Object> mayReplace =
                current -> condition != (current == null ? Condition.PRESENT : Condition.ABSENT);
        // Checked first, so that nothing is evicted for a value that is then not stored.
        return withContents(now -> mayReplace.test(now.cache.getIfPresent(key))
                && now.replace(key, now.newBlock(key, value), deadline, mayReplace, old));
    }

    /**
     * Stores many values.
     *
     * @param values returns each value, whose buffer is used before the next call
     * @throws NoRoomException if they do not all fit, even if all other entries are evicted; then none is stored
     */
    void setAll(List<Key> keys, IntToLongFunction sizes, IntFunction<ByteBuffer> values) {
        long needed = 0;
        for (int i = 0; i < keys.size(); i++) {
            needed += needed(keys.get(i), sizes.applyAsLong(i));
        }
        if (needed > maxBytes) {
            throw new NoRoomException();
        }
        withContents(now -> {
            List<Object> blocks = new ArrayList<>(keys.size());
            int stored = 0;
            try {
                for (int i = 0; i < keys.size(); i++) {
                    blocks.add(now.newBlock(keys.get(i), values.apply(i)));
                }
                while (stored < blocks.size()) {
                    stored++;
                    now.put(keys.get(stored - 1), blocks.get(stored - 1), NEVER);
                }
            } finally {
                for (int i = stored; i < blocks.size(); i++) {
                    now.discard(keys.get(i), blocks.get(i));
                }
            }
            return true;
        });
    }

    /**
     * Adds to the number that is the value of a key. A missing key counts as 0. The value is a {@link Counter} from
     * then on.
     *
     * @return the sum
     * @throws NumberFormatException if the value is not a number
     * @throws ArithmeticException if the sum would overflow
     */
    long increment(Key key, long by) {
        return withContents(now -> {
            while (true) {
                Long counted = now.count(key, by);
                if (counted != null) {
                    return counted;
                }
                Object content = content(now.cache.getIfPresent(key));
                NumberReader reader = new NumberReader();
                if (content instanceof Counter) {
                    continue;
                }
                if (content != null && !now.read(key, content, reader)) {
                    requireCurrent(now);
                    continue;
                }
                long sum = Math.addExact(reader.number, by);
                now.reserve(needed(key, 0));
                Object first = now.counted(key, new Counter(sum));
                if (now.replace(key, first, SAME, current -> Objects.equals(content(current), content))) {
                    return sum;
                }
            }
        });
    }

    private static final class NumberReader implements Reader {

        private long number;

        @Override
        public void read(MergeBlock block) {
            // Longer values are not numbers.
            number = RedisInteger.parse(
                    block.size() > 20 ? "" : new String(block.toByteArray(), StandardCharsets.US_ASCII));
        }

        @Override
        public void read(long counted) {
            number = counted;
        }
    }

    /**
     * Replaces a value by one that is computed from it. Keeps the deadline.
     *
     * @throws NoRoomException if the new value does not fit, even if all other entries are evicted
     */
    void change(Key key, Change change) {
        withContents(now -> {
            while (true) {
                Object content = content(now.cache.getIfPresent(key));
                BytesReader old = new BytesReader();
                if (content != null && !now.read(key, content, old)) {
                    requireCurrent(now);
                    continue;
                }
                byte[] changed = change.apply(old.bytes, content != null);
                if (changed == null
                        || now.replace(
                                key,
                                now.newBlock(key, ByteBuffer.wrap(changed)),
                                SAME,
                                current -> Objects.equals(content(current), content)
                                        && (!(content instanceof Counter counter) || counter.number == old.number))) {
                    return true;
                }
            }
        });
    }

    private void requireCurrent(Contents now) {
        if (now != contents.get()) {
            throw new IllegalStateException("the contents were replaced");
        }
    }

    private static final class BytesReader implements Reader {

        private byte[] bytes = {};
        private long number;

        @Override
        public void read(MergeBlock block) {
            bytes = block.toByteArray();
        }

        @Override
        public void read(long counted) {
            number = counted;
            bytes = Long.toString(counted).getBytes(StandardCharsets.US_ASCII);
        }
    }

    /** Sets a deadline, which may be over, and returns whether there is such a key and the condition holds. */
    boolean expire(Key key, long deadline, ExpireCondition condition) {
        Contents now = contents.get();
        Object[] discarded = {null};
        boolean[] done = {false};
        now.cache.asMap().computeIfPresent(key, (k, value) -> {
            done[0] = condition.allows(deadline(value), deadline);
            if (!done[0]) {
                return value;
            }
            Object content = Objects.requireNonNull(content(value));
            if (deadline <= now()) {
                discarded[0] = content;
                return null;
            }
            return value(content, deadline);
        });
        if (done[0]) {
            watches.changed(key);
        }
        now.discard(key, discarded[0]);
        return done[0];
    }

    /** Removes a deadline, and returns whether there was one. */
    boolean persist(Key key) {
        boolean[] done = {false};
        contents.get().cache.asMap().computeIfPresent(key, (k, value) -> {
            done[0] = value instanceof Expiring;
            return Objects.requireNonNull(content(value));
        });
        if (done[0]) {
            watches.changed(key);
        }
        return done[0];
    }

    /** Reads and removes a value, and returns whether there was one. */
    boolean take(Key key, Reader reader) {
        return withContents(now -> {
            Object content = content(now.cache.asMap().remove(key));
            (content == null ? misses : hits).increment();
            if (content == null) {
                return false;
            }
            watches.changed(key);
            try {
                read(content, reader);
            } finally {
                now.discard(key, content);
            }
            return true;
        });
    }

    /** Moves a value with its deadline, and returns whether there was one. */
    boolean rename(Key from, Key to) {
        Contents now = contents.get();
        Object value = now.cache.asMap().remove(from);
        Object content = content(value);
        if (value != null && content != null) {
            watches.changed(from);
            now.tenants.get(from.tenant()).heapBytes.add(heapBytesOf(to) - heapBytesOf(from));
            now.put(to, content, deadline(value));
        }
        return value != null;
    }

    /** {@return whether a value is a number as {@code INCR} would store it} */
    boolean isNumber(Key key) {
        boolean[] isNumber = {false};
        get(key, new Reader() {
            @Override
            public void read(MergeBlock block) {
                try {
                    new NumberReader().read(block);
                    isNumber[0] = true;
                } catch (NumberFormatException e) {
                    isNumber[0] = false;
                }
            }

            @Override
            public void read(long number) {
                isNumber[0] = true;
            }
        });
        return isNumber[0];
    }

    /** Returns how much memory a key and its value take if they share nothing, or null if there is no such key. */
    @Nullable
    Long memory(Key key) {
        Object content = content(contents.get().cache.getIfPresent(key));
        return content == null ? null : needed(key, size(content));
    }

    /** Returns the keys of all tenants. Keys that are there from the first call to the last are returned once. */
    Iterator<Key> keys() {
        return contents.get().cache.asMap().keySet().iterator();
    }

    /** Returns the deadline of a key, or null if there is no such key. */
    @Nullable
    Long deadline(Key key) {
        Object value = contents.get().cache.getIfPresent(key);
        return value == null ? null : deadline(value);
    }

    boolean delete(Key key) {
        return contents.get().remove(key);
    }

    /**
     * Removes everything, regardless of how much that is. Another thread returns the memory to the kernel, because no
     * client should have to wait for it.
     */
    void clear() {
        if (IntStream.range(0, tenants()).allMatch(tenant -> keys(tenant) == 0)) {
            return;
        }
        watches.changed(this::isPresent);
        Contents old = contents.getAndSet(new Contents());
        if (!closing.tryAcquire()) {
            // Memory must not be requested faster than it is returned.
            old.close();
            return;
        }
        try {
            Thread thread = new Thread(
                    () -> {
                        try {
                            old.close();
                        } finally {
                            closing.release();
                        }
                    },
                    "flush");
            thread.setDaemon(true);
            thread.start();
        } catch (OutOfMemoryError noThread) {
            closing.release();
            old.close();
        }
    }

    void clear(int tenant) {
        Contents now = contents.get();
        now.cache.asMap().forEach((key, value) -> {
            if (key.tenant() == tenant) {
                now.remove(key);
            }
        });
    }

    int tenants() {
        return source.tenants();
    }

    /** {@return what entries take of the heap, approximately} */
    long heapBytes() {
        return contents.get().heapBytes();
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
        closing.acquireUninterruptibly(MAX_CLOSING);
        contents.get().close();
        source.close();
    }
}
