// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisProtocol;
import redis.clients.jedis.Response;
import redis.clients.jedis.Transaction;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.ScanParams;
import redis.clients.jedis.params.SetParams;
import redis.clients.jedis.resps.ScanResult;

/** Tests what outlives one command: protocol, transactions and scans. */
class SessionTest {

    private static ServerUnderTest running;

    @BeforeAll
    static void start() throws IOException {
        running = new ServerUnderTest("--max-memory", "64m");
    }

    @BeforeEach
    void flush() {
        try (Jedis jedis = running.jedis()) {
            jedis.flushAll();
        }
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    static String lines(String... lines) {
        return String.join("\r\n", lines) + "\r\n";
    }

    private static Jedis resp3() {
        return new Jedis(
                "127.0.0.1",
                running.server.port(),
                DefaultJedisClientConfig.builder().protocol(RedisProtocol.RESP3).build());
    }

    @Test
    void clientsMayUseResp3() {
        try (Jedis jedis = resp3()) {
            assertThat(jedis.set("a", "1")).isEqualTo("OK");
            assertThat(jedis.get("a")).isEqualTo("1");
            assertThat(jedis.get("none")).isNull();
            assertThat(jedis.mget("a", "none")).containsExactly("1", null);
            assertThat(jedis.configGet("data*")).containsEntry("databases", "16");
            assertThat(jedis.info("ksm")).contains("saved_bytes:");
        }
    }

    @Test
    void resetReturnsToTheBeginning() throws IOException {
        try (RawClient client = running.raw()) {
            client.send(lines(
                    "SELECT 3",
                    "HELLO 3 SETNAME joe",
                    "MULTI",
                    "SET a 1",
                    "RESET",
                    "GET a",
                    "CLIENT GETNAME",
                    "EXEC",
                    "QUIT"));

            assertThat(client.readToEnd())
                    .startsWith("+OK\r\n%7\r\n$6\r\nserver\r\n")
                    .endsWith("+OK\r\n+QUEUED\r\n+RESET\r\n$-1\r\n$-1\r\n-ERR EXEC without MULTI\r\n+OK\r\n");
        }
    }

    @Test
    void transactionsExecuteTogetherOrNotAtAll() {
        try (Jedis jedis = running.jedis();
                Jedis other = running.jedis()) {
            jedis.watch("a");
            Transaction transaction = jedis.multi();
            transaction.set("a", "1");
            Response<Long> sum = transaction.incr("a");
            assertThat(other.exists("a")).isFalse();
            assertThat(transaction.exec()).hasSize(2);
            assertThat(sum.get()).isEqualTo(2);

            jedis.watch("a");
            // The value is the same afterwards, but it has changed.
            other.incr("a");
            other.decr("a");
            Transaction outdated = jedis.multi();
            outdated.set("a", "lost");
            assertThat(outdated.exec()).isNull();
            assertThat(other.get("a")).isEqualTo("2");
        }
    }

    @Test
    void watchedKeysAreChangedByAnyCommand() throws IOException {
        for (String change : List.of("PEXPIRE a 1", "FLUSHALL", "FLUSHDB", "RENAME a b", "GETDEL a", "PERSIST a")) {
            try (Jedis other = running.jedis();
                    RawClient client = running.raw()) {
                other.set("a", "1", SetParams.setParams().ex(1000));
                assertThat(client.ask("WATCH a\r\n", 5)).isEqualTo("+OK\r\n");
                try (RawClient changing = running.raw()) {
                    changing.send(lines(change, "QUIT"));
                    assertThat(changing.readToEnd()).as(change).endsWith("+OK\r\n");
                }
                client.send("MULTI\r\nSET a lost\r\nEXEC\r\nQUIT\r\n");
                assertThat(client.readToEnd()).as(change).isEqualTo("+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n");
            }
        }
    }

    @Test
    void watchedKeysChangeWhenTheyExpire() throws IOException {
        try (Jedis other = running.jedis();
                RawClient client = running.raw()) {
            other.set("a", "1", SetParams.setParams().px(100));
            assertThat(client.ask("WATCH a\r\n", 5)).isEqualTo("+OK\r\n");
            await().pollDelay(Duration.ZERO).until(() -> !other.exists("a"));
            client.send("MULTI\r\nSET a lost\r\nEXEC\r\nQUIT\r\n");
            assertThat(client.readToEnd()).isEqualTo("+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n");
        }
    }

    @Test
    void aCommandThatCannotBeQueuedAbortsTheTransaction() throws IOException {
        try (RawClient client = running.raw()) {
            client.send(lines("MULTI", "SET a 1", "GET", "MULTI", "WATCH a", "EXEC", "GET a", "QUIT"));

            assertThat(client.readToEnd())
                    .isEqualTo(lines(
                            "+OK",
                            "+QUEUED",
                            "-ERR wrong number of arguments for 'get' command",
                            "-ERR MULTI calls can not be nested",
                            "-ERR WATCH inside MULTI is not allowed",
                            "-EXECABORT Transaction discarded because of previous errors.",
                            "$-1",
                            "+OK"));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 1000})
    void scansReturnAllKeysThatStay(int count) {
        try (Jedis jedis = running.jedis()) {
            Set<String> staying = new HashSet<>();
            IntStream.range(0, 300).forEach(i -> staying.add("stay:" + i));
            staying.forEach(key -> jedis.set(key, "x"));
            Set<String> found = new HashSet<>();
            ScanParams params = new ScanParams().count(count).match("stay:*");
            String cursor = ScanParams.SCAN_POINTER_START;
            int pages = 0;
            do {
                ScanResult<String> page = jedis.scan(cursor, params);
                // A client that has lost a reply asks again.
                assertThat(jedis.scan(cursor, params).getResult())
                        .as("cursor %s", cursor)
                        .isNotNull();
                found.addAll(page.getResult());
                cursor = page.getCursor();
                pages++;
                jedis.set("new:" + pages, "x");
                jedis.del("new:" + (pages - 3));
            } while (!cursor.equals(ScanParams.SCAN_POINTER_START));
            assertThat(found).isEqualTo(staying);
            assertThat(pages).isGreaterThanOrEqualTo(300 / count);
        }
    }

    @Test
    void flushedKeysAreForgotten() {
        try (Jedis jedis = running.jedis()) {
            IntStream.range(0, 50).forEach(i -> jedis.set("old:" + i, "x"));
            jedis.randomKey();
            String cursor = jedis.scan("0").getCursor();
            jedis.flushAll();
            jedis.set("new", "x");

            assertThat(jedis.randomKey()).isEqualTo("new");
            assertThat(jedis.scan(cursor).getResult()).containsExactly("new");
        }
    }

    @Test
    void aPageCanBeAskedForAgain() {
        try (Jedis jedis = running.jedis()) {
            IntStream.range(0, 50).forEach(i -> jedis.set("key:" + i, "x"));
            ScanResult<String> first = jedis.scan("0");
            ScanResult<String> second = jedis.scan(first.getCursor());
            ScanResult<String> again = jedis.scan(first.getCursor());

            assertThat(again.getResult()).isEqualTo(second.getResult()).isNotEqualTo(first.getResult());
            assertThat(again.getCursor()).isEqualTo(second.getCursor());
        }
    }

    @Test
    void keysRandomKeysAndScansStayWithinTheirDatabase() {
        try (Jedis jedis = running.jedis()) {
            jedis.set("other", "x");
            jedis.select(1);
            assertThat(jedis.randomKey()).isNull();
            jedis.mset("a1", "x", "a2", "x", "b", "x");

            assertThat(jedis.keys("a*")).containsExactlyInAnyOrder("a1", "a2");
            assertThat(jedis.scan("0", new ScanParams().count(100)).getResult())
                    .containsExactlyInAnyOrder("a1", "a2", "b");
            Set<String> random = new HashSet<>();
            for (int i = 0; i < 200; i++) {
                random.add(jedis.randomKey());
            }
            assertThat(random).containsExactlyInAnyOrder("a1", "a2", "b");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"x", "-", "1x", "18446744073709551616"})
    void refusesInvalidCursors(String cursor) {
        try (Jedis jedis = running.jedis()) {
            assertThatThrownBy(() -> jedis.scan(cursor))
                    .isInstanceOf(JedisDataException.class)
                    .hasMessage("ERR invalid cursor");
        }
    }
}
