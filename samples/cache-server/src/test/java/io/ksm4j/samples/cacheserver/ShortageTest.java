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
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
        int keys = 300_000;
        try (ServerProcess server = ServerProcess.start(directory, List.of("-Xmx64m"), "--max-memory", "1g");
                RawClient client = server.raw()) {
            for (int i = 0; i < keys; i += 1000) {
                client.send(IntStream.range(i, i + 1000)
                        .mapToObj(key -> "SET key:" + key + " value\r\n")
                        .collect(Collectors.joining()));
                assertThat(client.read(5 * 1000)).isEqualTo("+OK\r\n".repeat(1000));
            }
            client.send("GET key:" + (keys - 1) + "\r\nDBSIZE\r\nQUIT\r\n");
            assertThat(client.readToEnd()).startsWith("$5\r\nvalue\r\n:1").endsWith("+OK\r\n");
            assertThat(server.log()).doesNotContain("OutOfMemoryError");
        }
    }

    /** A server of which 16 MiB of replies may be unread. */
    private static ServerProcess withLittleDirectMemory(Path directory) throws IOException {
        return ServerProcess.start(
                directory, List.of("-Xmx96m", "-XX:MaxDirectMemorySize=64m"), "--max-memory", "16m", "--merge", "off");
    }

    private static String bulk(String value) {
        return "$" + value.length() + "\r\n" + value + "\r\n";
    }

    private static void set(RawClient client, String key, String value) throws IOException {
        String request = RequestParserTest.encode(List.of("SET", key, value));
        assertThat(client.ask(request, 5)).isEqualTo("+OK\r\n");
    }

    @Test
    void unreadRepliesOfAllClientsAreBounded(@TempDir Path directory) throws Exception {
        String value = "v".repeat(2 << 20);
        String reply = "*16\r\n" + bulk(value).repeat(16);
        List<RawClient> slow = new ArrayList<>();
        try (ServerProcess server = withLittleDirectMemory(directory);
                RawClient client = server.raw()) {
            set(client, "big", value);
            for (int i = 0; i < 60; i++) {
                RawClient another = server.raw();
                slow.add(another);
                another.socket.setReceiveBufferSize(64 << 10);
                another.send("MGET" + " big".repeat(16) + "\r\n");
                client.send("GET big\r\n");
                assertThat(client.read(bulk(value).length())).isEqualTo(bulk(value));
            }
            for (RawClient another : slow) {
                String read = another.readUpTo(reply.length());
                assertThat(reply).startsWith(read);
                another.close();
            }
            client.send("GET big\r\n");
            assertThat(client.read(bulk(value).length())).isEqualTo(bulk(value));
            assertThat(server.log()).doesNotContain("OutOf");
        } finally {
            closeAll(slow);
        }
    }

    private static void closeAll(List<RawClient> clients) throws IOException {
        for (RawClient client : clients) {
            client.close();
        }
    }

    @Test
    void repliesToMgetMayBeLargerThanTheDirectMemory(@TempDir Path directory) throws Exception {
        String value = bulk("v".repeat(1 << 20));
        int values = 150;
        try (ServerProcess server = withLittleDirectMemory(directory);
                RawClient client = server.raw()) {
            set(client, "big", "v".repeat(1 << 20));
            for (String request : List.of(
                    "MGET" + " big".repeat(values) + "\r\n",
                    "*" + (values + 1) + "\r\n$4\r\nMGET\r\n" + "$3\r\nbig\r\n".repeat(values))) {
                client.send(request + "PING\r\n");
                assertThat(client.read(6)).isEqualTo("*" + values + "\r\n");
                for (int i = 0; i < values; i++) {
                    assertThat(client.read(value.length())).isEqualTo(value);
                }
                assertThat(client.read(7)).isEqualTo("+PONG\r\n");
            }
            assertThat(server.log()).doesNotContain("OutOf");
        }
    }

    @Test
    void aTransactionWhoseRepliesDoNotFitDisconnectsItsClientOnly(@TempDir Path directory) throws Exception {
        String value = "v".repeat(1 << 20);
        try (ServerProcess server = withLittleDirectMemory(directory);
                RawClient other = server.raw();
                RawClient client = server.raw()) {
            set(other, "big", value);
            client.send("MULTI\r\nMGET" + " big".repeat(60) + "\r\nEXEC\r\n");

            assertThat(client.readUpTo(100 << 20))
                    .startsWith("+OK\r\n+QUEUED\r\n")
                    .hasSizeLessThan(60 << 20);

            assertThat(other.ask("GET big\r\n", bulk(value).length())).isEqualTo(bulk(value));
            assertThat(server.log()).contains("bytes of replies are unread").doesNotContain("OutOf");
        }
    }

    private static Optional<RawClient> firstWithReply(List<RawClient> clients) throws IOException {
        for (RawClient client : clients) {
            if (client.socket.getInputStream().available() > 0) {
                return Optional.of(client);
            }
        }
        return Optional.empty();
    }

    @Test
    void largeIncompleteRequestsDoNotKeepOutSmallOnes(@TempDir Path directory) throws Exception {
        String large = "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$4194304\r\n" + "x".repeat(2 << 20);
        List<RawClient> clients = new ArrayList<>();
        try (ServerProcess server = withLittleDirectMemory(directory);
                RawClient small = server.raw()) {
            for (int i = 0; i < 30; i++) {
                RawClient client = server.raw();
                clients.add(client);
                client.send(large);
                assertThat(small.ask("PING\r\n*3\r\n$3\r\nSET\r\n", 7)).isEqualTo("+PONG\r\n");
                assertThat(small.ask("$1\r\na\r\n$1\r\nb\r\n", 5)).isEqualTo("+OK\r\n");
            }
            RawClient refused = await().atMost(PATIENCE)
                    .until(() -> firstWithReply(clients), Optional::isPresent)
                    .get();
            assertThat(refused.readToEnd()).isEqualTo("-ERR Protocol error: too many incomplete requests\r\n");
        } finally {
            closeAll(clients);
        }
    }

    @Test
    void servesItsClientsWithoutDescriptorsForOthers(@TempDir Path directory) throws Exception {
        List<RawClient> waiting = new ArrayList<>();
        try (ServerProcess server = ServerProcess.start(
                        directory,
                        List.of("sh", "-c", "ulimit -n 250; exec \"$@\"", "sh"),
                        List.of("-Xmx96m", "-XX:MaxDirectMemorySize=64m"),
                        "--max-clients",
                        "10000",
                        "--merge",
                        "off");
                RawClient first = server.raw();
                RawClient second = server.raw();
                RawClient third = server.raw()) {
            set(first, "big", "v".repeat(1 << 20));
            assertThat(second.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            assertThat(third.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            for (int i = 0; i < 300; i++) {
                waiting.add(server.raw());
            }
            await().atMost(PATIENCE).until(() -> server.descriptors() == 250);

            second.send("MULTI\r\nMGET" + " big".repeat(60) + "\r\nEXEC\r\n");
            assertThat(second.readUpTo(100 << 20)).startsWith("+OK\r\n+QUEUED\r\n");
            assertThat(third.ask("*x\r\n", 5)).isEqualTo("-ERR ");
            assertThat(first.ask("STRLEN big\r\n", 10)).isEqualTo(":1048576\r\n");

            for (RawClient client : waiting) {
                client.close();
            }
            try (RawClient another = server.raw()) {
                assertThat(another.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            }
            assertThat(server.log())
                    .contains("bytes of replies are unread", "Too many open files")
                    .doesNotContain("NoClassDefFoundError");
        } finally {
            closeAll(waiting);
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
