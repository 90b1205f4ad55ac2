// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.EnumSource;
import org.redisson.Redisson;
import org.redisson.api.BatchOptions;
import org.redisson.api.RBatch;
import org.redisson.api.RBucket;
import org.redisson.api.RFuture;
import org.redisson.api.RedissonClient;
import org.redisson.api.options.KeysScanOptions;
import org.redisson.client.RedisException;
import org.redisson.client.codec.ByteArrayCodec;
import org.redisson.client.codec.StringCodec;
import org.redisson.config.Config;
import org.redisson.config.Protocol;

/** Tests the server with what Redisson does without scripts, and with strings as the only type. */
@ParameterizedClass
@EnumSource
class RedissonTest {

    @Parameter
    Protocol protocol;

    private ServerUnderTest running;
    private RedissonClient redisson;

    @BeforeEach
    void start(@TempDir Path directory) throws IOException {
        Path password = Files.writeString(directory.resolve("password"), "secret");
        running = new ServerUnderTest("--max-memory", "64m", "--password-file", password.toString());
        Config config = new Config();
        config.setProtocol(protocol);
        config.setPassword("secret");
        // Otherwise it waits forever for a script if EVALSHA is an unknown command, also with Redis.
        config.setUseScriptCache(false);
        config.useSingleServer()
                .setAddress("redis://127.0.0.1:" + running.server.port())
                .setDatabase(2)
                .setClientName("tester")
                .setConnectionMinimumIdleSize(2);
        redisson = Redisson.create(config);
    }

    @AfterEach
    void stop() {
        redisson.shutdown();
        running.close();
    }

    @Test
    void bucketsHoldObjects() {
        RBucket<Map<String, Integer>> bucket = redisson.getBucket("ages");
        assertThat(bucket.get()).isNull();
        assertThat(bucket.isExists()).isFalse();
        bucket.set(Map.of("joe", 42));
        assertThat(bucket.get()).isEqualTo(Map.of("joe", 42));
        assertThat(bucket.size()).isPositive();
        assertThat(bucket.setIfAbsent(Map.of())).isFalse();
        assertThat(bucket.setIfExists(Map.of("jim", 7))).isTrue();
        assertThat(bucket.getAndSet(Map.of("jane", 3))).isEqualTo(Map.of("jim", 7));
        assertThat(bucket.delete()).isTrue();
        assertThat(bucket.setIfExists(Map.of())).isFalse();
        assertThat(bucket.setIfAbsent(Map.of("joe", 1))).isTrue();
        bucket.rename("renamed");
        assertThat(redisson.getBucket("renamed").get()).isEqualTo(Map.of("joe", 1));
        assertThat(redisson.getBucket("renamed").delete()).isTrue();
    }

    @Test
    void bucketsHoldBytes() {
        byte[] bytes = new byte[300_000];
        new Random(1).nextBytes(bytes);
        RBucket<byte[]> bucket = redisson.getBucket("bytes", ByteArrayCodec.INSTANCE);
        bucket.set(bytes);
        assertThat(bucket.get()).isEqualTo(bytes);
        assertThat(bucket.size()).isEqualTo(bytes.length);
    }

    @Test
    void bucketsExpire() {
        RBucket<String> bucket = redisson.getBucket("brief");
        bucket.set("x", Duration.ofMillis(1));
        await().until(() -> bucket.get() == null);
        assertThat(bucket.setIfAbsent("x", Duration.ofMinutes(1))).isTrue();
        assertThat(bucket.remainTimeToLive()).isBetween(1L, 60_000L);
        bucket.setAndKeepTTL("y");
        assertThat(bucket.remainTimeToLive()).isBetween(1L, 60_000L);
        assertThat(bucket.getAndClearExpire()).isEqualTo("y");
        assertThat(bucket.remainTimeToLive()).isEqualTo(-1);
        assertThat(redisson.getKeys().expire(Duration.ofHours(1), "brief")).isEqualTo(1);
        assertThat(bucket.getExpireTime()).isGreaterThan(System.currentTimeMillis());
        assertThat(bucket.clearExpire()).isTrue();
        assertThat(bucket.getAndExpire(Duration.ofMillis(1))).isEqualTo("y");
        await().until(() -> !bucket.isExists());
    }

    @Test
    void severalBucketsAreSetTogether() {
        assertThat(redisson.getBuckets().trySet(Map.of("a", "1", "b", "2"))).isTrue();
        assertThat(redisson.getBuckets().trySet(Map.of("b", "3", "c", "3"))).isFalse();
        redisson.getBuckets().set(Map.of("b", "4", "d", "5"));
        assertThat(redisson.getBuckets().get("a", "b", "c", "d")).isEqualTo(Map.of("a", "1", "b", "4", "d", "5"));
    }

    @Test
    void numbersCount() {
        assertThat(redisson.getAtomicLong("n").incrementAndGet()).isEqualTo(1);
        assertThat(redisson.getAtomicLong("n").addAndGet(-11)).isEqualTo(-10);
        assertThat(redisson.getAtomicLong("n").getAndAdd(1)).isEqualTo(-10);
        assertThat(redisson.getAtomicLong("n").get()).isEqualTo(-9);
        assertThat(redisson.getAtomicDouble("d").addAndGet(0.5)).isEqualTo(0.5);
    }

    @Test
    void keysAreIterated() {
        Map<String, String> buckets =
                IntStream.range(0, 250).boxed().collect(Collectors.toMap(i -> "key:" + i, i -> "x"));
        redisson.getBuckets(StringCodec.INSTANCE).set(buckets);
        redisson.getBucket("other").set("x");

        KeysScanOptions options = KeysScanOptions.defaults().pattern("key:*").chunkSize(20);
        assertThat(redisson.getKeys().getKeys(options)).containsExactlyInAnyOrderElementsOf(buckets.keySet());
        assertThat(redisson.getKeys().count()).isEqualTo(251);
        assertThat(redisson.getKeys().countExists("key:1", "none", "other")).isEqualTo(2);
        assertThat(redisson.getKeys().randomKey()).isNotNull();
        assertThat(redisson.getKeys().remainTimeToLive("other")).isEqualTo(-1);
        assertThat(redisson.getKeys().expire(Duration.ofHours(1), "other")).isEqualTo(1);
        assertThat(redisson.getKeys().touch("other")).isEqualTo(1);
        assertThat(redisson.getKeys().deleteByPattern("key:1*")).isEqualTo(111);
        assertThat(redisson.getKeys().unlink("key:2", "key:3", "none")).isEqualTo(2);
        redisson.getKeys().flushdb();
        assertThat(redisson.getKeys().count()).isZero();
        redisson.getKeys().flushall();
    }

    @Test
    void batchesAreSentTogether() {
        for (BatchOptions.ExecutionMode mode : List.of(
                BatchOptions.ExecutionMode.IN_MEMORY,
                BatchOptions.ExecutionMode.IN_MEMORY_ATOMIC,
                BatchOptions.ExecutionMode.REDIS_WRITE_ATOMIC)) {
            RBatch batch = redisson.createBatch(BatchOptions.defaults().executionMode(mode));
            RFuture<Void> set = batch.getBucket("a").setAsync("1");
            RFuture<Long> number = batch.getAtomicLong("n" + mode).incrementAndGetAsync();
            RFuture<Object> value = batch.getBucket("a").getAsync();
            assertThat(batch.execute().getResponses()).hasSize(3);
            assertThat(set.toCompletableFuture()).isCompleted();
            assertThat(number.toCompletableFuture()).isCompletedWithValue(1L);
            assertThat(value.toCompletableFuture()).isCompletedWithValue("1");
        }
    }

    @Test
    void whatNeedsScriptsOrOtherTypesIsAnErrorOfRedis() {
        RBucket<String> bucket = redisson.getBucket("a");
        bucket.set("x");
        List<ThrowingCallable> unsupported = List.of(
                () -> bucket.compareAndSet("x", "y"),
                () -> bucket.getAndDelete(),
                () -> bucket.expire(Duration.ofHours(1)),
                () -> redisson.getLock("lock").tryLock(),
                () -> redisson.getMap("map").put("a", "b"),
                () -> redisson.getList("list").add("a"));
        assertThat(unsupported)
                .allSatisfy(call -> assertThatThrownBy(call)
                        .isInstanceOf(RedisException.class)
                        .hasMessageStartingWith("ERR unknown command '"));
        assertThat(bucket.get()).isEqualTo("x");
    }
}
