// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.RegionOptions;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Tests what happens when something runs short. */
class ShortageTest {

    @Test
    void clientsAboveTheLimitAreRefusedAndOthersGoOn() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--max-clients", "2");
                RawClient first = running.raw();
                RawClient second = running.raw()) {
            assertThat(first.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            assertThat(second.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            try (RawClient third = running.raw()) {
                assertThat(third.readToEnd()).isEqualTo("-ERR max number of clients reached\r\n");
            }
            assertThat(first.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            second.socket.close();
            await().until(() -> {
                try (RawClient fourth = running.raw()) {
                    return fourth.ask("PING\r\n", 7).equals("+PONG\r\n");
                }
            });
        }
    }

    /** A heap of 64 MiB, and twice as many keys as it has room for. */
    @Tag("long")
    @Test
    void aSmallHeapEvictsKeys(@TempDir Path directory) throws Exception {
        Path log = directory.resolve("log");
        Process server = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx64m",
                        "-cp",
                        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                        CacheServer.class.getName(),
                        "--port",
                        "0",
                        "--max-memory",
                        "1g",
                        "--ksmd",
                        "off")
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        try {
            await().atMost(PATIENCE).until(() -> Files.readString(log).contains("Ready on "));
            String text = Files.readString(log);
            int port =
                    Integer.parseInt(text.substring(text.lastIndexOf(':') + 1).trim());
            int keys = 300_000;
            try (RawClient client = new RawClient(port)) {
                for (int i = 0; i < keys; i += 1000) {
                    client.send(IntStream.range(i, i + 1000)
                            .mapToObj(key -> "SET key:" + key + " value\r\n")
                            .collect(Collectors.joining()));
                    assertThat(client.read(5 * 1000)).isEqualTo("+OK\r\n".repeat(1000));
                }
                client.send("GET key:" + (keys - 1) + "\r\nDBSIZE\r\nQUIT\r\n");
                assertThat(client.readToEnd()).startsWith("$5\r\nvalue\r\n:1").endsWith("+OK\r\n");
            }
            assertThat(server.isAlive()).isTrue();
            assertThat(Files.readString(log)).doesNotContain("OutOfMemoryError");
        } finally {
            server.destroyForcibly().waitFor();
        }
    }

    @Test
    void theLimitOfClientsLeavesDescriptors() {
        assertThat(new JvmLimits(1 << 30, 1 << 30, 1L << 40, 1000).maxClients()).isEqualTo(936);
        assertThat(new JvmLimits(1 << 30, 1 << 30, 1L << 40, 1_000_000).maxClients())
                .isEqualTo(10_000);
        assertThat(new JvmLimits(1 << 30, 1 << 30, 1L << 40, 3).maxClients()).isEqualTo(1);
    }

    @Test
    void countersCountLikeOtherEntries() {
        long maxHeapBytes = 1 << 20;
        TenantPools pools = new TenantPools(
                Ksm.systemOrFallback(), 64 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of());
        try (Store store = new Store(pools, maxHeapBytes)) {
            for (int i = 0; i < 20_000; i++) {
                store.increment(RequestParserTest.key(0, "key" + i), 1);
            }
            assertThat(store.heapBytes()).isBetween(maxHeapBytes / 2, maxHeapBytes + maxHeapBytes / 16);
        }
    }

    @Test
    void renamedEntriesAreCountedByTheirNewNames() {
        TenantPools pools = new TenantPools(
                Ksm.systemOrFallback(), 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of());
        Key longKey = RequestParserTest.key(0, "x".repeat(10_000));
        Key shortKey = RequestParserTest.key(0, "x");
        try (Store store = new Store(pools, 1 << 20)) {
            for (int i = 0; i < 10; i++) {
                store.set(longKey, ByteBuffer.wrap(new byte[] {1}), Store.NEVER);
                assertThat(store.rename(longKey, shortKey)).isTrue();
                assertThat(store.rename(shortKey, longKey)).isTrue();
                assertThat(store.heapBytes()).isGreaterThan(10_000);
                assertThat(store.rename(longKey, shortKey)).isTrue();
                assertThat(store.delete(shortKey)).isTrue();
                assertThat(store.heapBytes()).isZero();
            }
        }
    }

    @Test
    void transactionsOfAllClientsHaveALimit() throws IOException {
        RequestLimits limits = new RequestLimits(1 << 20, 3_000, Duration.ofMinutes(1));
        Transaction transaction = new Transaction(new Watches(), limits);
        transaction.begin();
        transaction.queue(RequestParserTest.request("SET", "a", "x".repeat(1000)));
        assertThatThrownBy(() -> transaction.queue(RequestParserTest.request("SET", "a", "x".repeat(2000))))
                .isInstanceOf(ReplyException.class);
        assertThat(transaction.isAborted()).isTrue();
        assertThat(transaction.end()).hasSize(1);
        assertThat(limits.hold(3_000)).as("everything was given back").isTrue();
    }

    @Test
    void keysThatAreNoLongerWatchedTakeNoMemory() {
        RequestLimits limits = new RequestLimits(1 << 20, 3_000, Duration.ofMinutes(1));
        Transaction transaction = new Transaction(new Watches(), limits);
        for (int i = 0; i < 100; i++) {
            transaction.watch(RequestParserTest.key(0, "key" + i), key -> true);
            transaction.unwatch();
        }
        transaction.watch(RequestParserTest.key(0, "key"), key -> true);
        transaction.end();

        assertThat(limits.hold(3_000)).as("everything was given back").isTrue();
    }

    @Test
    void incompleteRequestsFitTheDirectMemory() {
        RequestLimits limits = new RequestLimits(1L << 40, 96 << 20, Duration.ofMinutes(1));

        assertThat(limits.maxWordBytes()).isEqualTo(32 << 20);
        assertThat(limits.maxRequestBytes()).isEqualTo(96 << 20);
        assertThat(limits.hold(96 << 20)).isTrue();
        assertThat(limits.hold(1)).isFalse();
    }

    @Test
    void warnsOfMoreMemoryThanThereIs() {
        long gibibyte = 1L << 30;

        assertThat(new JvmLimits(gibibyte, 1 << 30, 4 * gibibyte, 100_000).warnings(2 * gibibyte))
                .isEmpty();
        assertThat(new JvmLimits(gibibyte, 1 << 30, 4 * gibibyte, 100_000).warnings(3 * gibibyte))
                .singleElement()
                .asString()
                .contains("--max-memory 3072 MiB", "a heap of 1024 MiB", "the memory of 4096 MiB");
        assertThat(new JvmLimits(gibibyte, 1 << 30, 4 * gibibyte, 1000).warnings(gibibyte))
                .singleElement()
                .asString()
                .contains("only 936 clients", "ulimit -n");
        assertThat(new JvmLimits(4 * gibibyte, 1 << 30, gibibyte, 100_000).warnings(1))
                .hasSize(1);
    }

    @Test
    void entriesThatDoNotFitTheHeapAreEvicted() {
        long maxHeapBytes = 2 << 20;
        TenantPools pools = new TenantPools(
                Ksm.systemOrFallback(), 64 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of());
        try (Store store = new Store(pools, maxHeapBytes)) {
            String longName = "x".repeat(1000);
            for (int i = 0; i < 20_000; i++) {
                store.set(
                        RequestParserTest.key(0, i % 10 == 0 ? longName + i : "key" + i),
                        ByteBuffer.wrap(new byte[] {1}),
                        Store.NEVER);
                assertThat(store.heapBytes()).isLessThan(maxHeapBytes + maxHeapBytes / 16);
            }
            assertThat(store.heapBytes()).isGreaterThan(maxHeapBytes / 2);
            assertThat(store.keys(0)).isBetween(2_000L, 15_000L);
        }
    }
}
