// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.params.SetParams;

/** Stores more values than there is memory for. */
class EvictionTest {

    private static final int KEYS = 400;

    @Test
    void readsCorrectValuesWhileOthersAreEvicted() throws Exception {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m", "--io-threads", "4")) {
            ExecutorService clients = Executors.newFixedThreadPool(6);
            try {
                List<Future<Integer>> results = new ArrayList<>();
                for (int i = 0; i < 6; i++) {
                    int seed = i;
                    Callable<Integer> client = () -> readAndWrite(running, seed, 1000);
                    results.add(clients.submit(client));
                }
                for (Future<Integer> hits : results) {
                    assertThat(hits.get(PATIENCE.toSeconds(), TimeUnit.SECONDS)).isPositive();
                }
            } finally {
                clients.shutdownNow();
            }
            Snapshot now = running.server.snapshot();
            assertThat(now.evictedKeys()).isPositive();
            assertThat(now.pool().usedBytes()).isLessThanOrEqualTo(4 << 20);
            running.assertNothingLeaked();
            try (Jedis jedis = running.jedis()) {
                jedis.flushAll();
            }
            assertThat(running.server.snapshot().pool().blocks()).isZero();
        }
    }

    private static int readAndWrite(ServerUnderTest running, int seed, int rounds) {
        SplittableRandom random = new SplittableRandom(seed);
        int hits = 0;
        try (Jedis jedis = running.jedis()) {
            for (int i = 0; i < rounds; i++) {
                // Low numbers are more frequent.
                int key = random.nextInt(1 + random.nextInt(KEYS));
                byte[] name = ("key" + key).getBytes(StandardCharsets.US_ASCII);
                int choice = random.nextInt(10);
                if (choice < 4) {
                    jedis.set(name, value(key, random.nextInt(4), random.nextInt()));
                } else if (choice < 5) {
                    jedis.del(name);
                } else {
                    byte[] found = jedis.get(name);
                    if (found != null) {
                        assertIsValueOf(key, found);
                        hits++;
                    }
                }
            }
        }
        return hits;
    }

    /**
     * Returns a value whose content depends on the key, its length and its first byte, so that a mixture of two values
     * is detected.
     */
    private static byte[] value(int key, int size, int salt) {
        byte[] value = new byte[1000 + 12_000 * size + key];
        value[0] = (byte) salt;
        for (int i = 1; i < value.length; i++) {
            value[i] = (byte) (key * 31 + value[0] * 7 + i * (i >>> 8) + value.length);
        }
        return value;
    }

    private static void assertIsValueOf(int key, byte[] found) {
        int size = (found.length - 1000 - key) / 12_000;
        assertThat(found).isEqualTo(value(key, size, found[0]));
    }

    @Test
    void oneLargeValueEvictsManySmallOnes() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m");
                Jedis jedis = running.jedis()) {
            for (int i = 0; i < 900; i++) {
                jedis.set("key" + i, i + "x".repeat(4000));
            }
            byte[] large = random((4 << 20) - 4096);

            assertThat(jedis.set("large".getBytes(StandardCharsets.US_ASCII), large))
                    .isEqualTo("OK");

            Snapshot now = running.server.snapshot();
            assertThat(now.pool().usedBytes()).isLessThanOrEqualTo(4 << 20);
            assertThat(now.evictedKeys()).isGreaterThan(800);
        }
    }

    private static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new Random(length).nextBytes(bytes);
        return bytes;
    }

    /** Caffeine alone would evict a new value above 1 % of the memory at once, in favor of values that were read. */
    @Test
    void keepsNewLargeValuesAndFrequentlyReadSmallOnes() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "16m");
                Jedis jedis = running.jedis()) {
            int hot = 3600;
            for (int i = 0; i < hot; i++) {
                jedis.set("hot" + i, i + "x".repeat(4090 - 5) + i);
            }
            readHot(jedis, hot, 3);
            int large = 130;
            int kept = 0;
            for (int i = 0; i < large; i += 2) {
                byte[][] names = {bytes("large" + i), bytes("large" + (i + 1))};
                byte[][] values = {random((256 << 10) + i), random((256 << 10) + i + 1)};
                if (i % 10 == 0) {
                    jedis.mset(names[0], values[0], names[1], values[1]);
                    readHot(jedis, hot, 1);
                } else {
                    jedis.set(names[0], values[0]);
                    jedis.set(names[1], values[1]);
                }
                for (int k = 0; k < 2; k++) {
                    byte[] found = jedis.get(names[k]);
                    if (found != null) {
                        assertThat(found).isEqualTo(values[k]);
                        kept++;
                    }
                }
            }
            assertThat(kept).isGreaterThan(large * 3 / 4);
            assertThat(readHot(jedis, hot, 1)).isGreaterThan(hot / 2);
        }
    }

    @Test
    void aLargeValueIsNotEvictedWhileItIsReplaced() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m");
                Jedis jedis = running.jedis()) {
            byte[] key = bytes("large");
            byte[] value = random(2_400_000);
            jedis.set(key, value, SetParams.setParams().ex(1000));

            assertThat(jedis.append(key, bytes("x"))).isEqualTo(value.length + 1);

            byte[] appended = Arrays.copyOf(value, value.length + 1);
            appended[value.length] = 'x';
            assertThat(jedis.get(key)).isEqualTo(appended);
            assertThat(jedis.ttl(key)).isPositive();
            assertThat(jedis.set(key, value, SetParams.setParams().xx().keepTtl()))
                    .isEqualTo("OK");
            assertThat(jedis.get(key)).isEqualTo(value);
            assertThat(jedis.ttl(key)).isPositive();
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static long readHot(Jedis jedis, int keys, int times) {
        List<String> found = new ArrayList<>();
        for (int i = 0; i < times; i++) {
            for (int first = 0; first < keys; first += 100) {
                found.addAll(jedis.mget(IntStream.range(first, first + 100)
                        .mapToObj(key -> "hot" + key)
                        .toArray(String[]::new)));
            }
        }
        return found.stream().filter(Objects::nonNull).count() / times;
    }

    @Test
    void evictsNothingForAConditionalSetThatFails() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m");
                Jedis jedis = running.jedis()) {
            for (int i = 0; i < 700; i++) {
                jedis.set("key" + i, i + "x".repeat(4000));
            }
            byte[] large = random(3 << 20);
            byte[] present = "key0".getBytes(StandardCharsets.US_ASCII);
            byte[] absent = "none".getBytes(StandardCharsets.US_ASCII);

            assertThat(jedis.set(present, large, SetParams.setParams().nx())).isNull();
            assertThat(jedis.set(absent, large, SetParams.setParams().xx())).isNull();

            assertThat(jedis.dbSize()).isEqualTo(700);
        }
    }

    @Test
    void refusesValuesThatCannotFitAndKeepsOthers() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m");
                Jedis jedis = running.jedis()) {
            jedis.set("key", "value");
            byte[] whole = new byte[4 << 20];

            assertThatThrownBy(() -> jedis.set("large".getBytes(StandardCharsets.US_ASCII), whole))
                    .hasMessage("OOM command not allowed when used memory > 'maxmemory'.");

            assertThat(jedis.get("key")).isEqualTo("value");
            byte[] half = new byte[3 << 20];
            assertThatThrownBy(() -> jedis.mset(
                            "a".getBytes(StandardCharsets.US_ASCII),
                            half,
                            "b".getBytes(StandardCharsets.US_ASCII),
                            half))
                    .hasMessageStartingWith("OOM ");
            assertThat(jedis.exists("a", "b")).isZero();
            assertThat(jedis.get("key")).isEqualTo("value");
        }
    }

    /** As many tenants with the same values as would never fit side by side. */
    @Test
    void equalValuesOfTenantsTakeTheRoomOfOne() throws IOException {
        int tenants = 8;
        int values = 400;
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m");
                Jedis jedis = running.jedis()) {
            List<byte[]> data = new ArrayList<>();
            for (int i = 0; i < values; i++) {
                data.add(Arrays.copyOf(value(i, 0, i), 4096));
            }
            for (int tenant = 0; tenant < tenants; tenant++) {
                jedis.select(tenant);
                for (int i = 0; i < values; i++) {
                    jedis.set(("k" + i).getBytes(StandardCharsets.US_ASCII), data.get(i));
                }
            }
            for (int tenant = 0; tenant < tenants; tenant++) {
                jedis.select(tenant);
                for (int i = 0; i < values; i++) {
                    assertThat(jedis.get(("k" + i).getBytes(StandardCharsets.US_ASCII)))
                            .isEqualTo(data.get(i));
                }
            }
            Snapshot now = running.server.snapshot();
            assertThat(now.evictedKeys()).isZero();
            assertThat(now.pool().logicalBytes()).isEqualTo((long) tenants * values * 4096);
            assertThat(now.pool().usedBytes()).isEqualTo(values * 4096L);
        }
    }

    @Test
    void smallValuesDoNotTakeAPageEach() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m");
                Jedis jedis = running.jedis()) {
            for (int i = 0; i < 5000; i++) {
                jedis.set("k" + i, "value " + i);
            }
            assertThat(running.server.snapshot().evictedKeys()).isZero();
            assertThat(running.server.snapshot().pool().usedBytes()).isLessThan(5000 * 32L);
        }
    }

    @Test
    void withoutDeduplicationTheyDoNotFit() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "4m", "--dedup", "off");
                Jedis jedis = running.jedis()) {
            for (int i = 0; i < 2000; i++) {
                jedis.set("key" + i, "x".repeat(4000));
            }
            assertThat(running.server.snapshot().evictedKeys()).isPositive();
            assertThat(running.server.snapshot().pool().sharedStores()).isZero();
        }
    }

    @Test
    void tenantsShareWithThoseOfTheSameSecretOnly(@TempDir Path directory) throws IOException {
        String secret = "0123456789abcdef0123456789abcdef";
        Path file = Files.writeString(
                directory.resolve("secrets"),
                "# a comment\n\n1 " + secret + "\n2 " + secret + "\n3 ff" + secret + "\n");
        try (ServerUnderTest running = new ServerUnderTest("--tenant-secrets", file.toString());
                Jedis jedis = running.jedis()) {
            for (int tenant = 0; tenant < 5; tenant++) {
                jedis.select(tenant);
                jedis.set("key", "x".repeat(4000));
            }
            assertThat(running.server.snapshot().pool().usedBytes())
                    .as("0 with 4, 1 with 2, and 3 alone")
                    .isEqualTo(3 * 4096);
            for (int tenant = 0; tenant < 5; tenant++) {
                jedis.select(tenant);
                assertThat(jedis.get("key")).isEqualTo("x".repeat(4000));
            }
            jedis.flushAll();
            jedis.set("key", "value");
            assertThat(jedis.get("key")).isEqualTo("value");
        }
    }

    @Test
    void aFileOfSecretsWithAnythingElseIsRefused(@TempDir Path directory) throws IOException {
        String secret = "0123456789abcdef0123456789abcdef";
        for (String line : List.of(
                "16 " + secret,
                "-1 " + secret,
                "x " + secret,
                "1",
                "1 " + secret.substring(2),
                "1 " + secret + " 2",
                "1 " + secret.replace('0', 'g'),
                "1 " + secret + "\n1 " + secret)) {
            Path file = Files.writeString(directory.resolve("secrets"), line + "\n");
            assertThatThrownBy(() -> new ServerUnderTest("--tenant-secrets", file.toString()))
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("line ")
                    .hasMessageNotContaining(secret);
        }
    }
}
