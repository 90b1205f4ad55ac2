// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Response;
import redis.clients.jedis.exceptions.JedisDataException;
import redis.clients.jedis.params.SetParams;

/** Tests each command with Jedis. */
class CommandsTest {

    private static ServerUnderTest running;
    private Jedis jedis;

    @BeforeAll
    static void start() throws IOException {
        running = new ServerUnderTest("--max-memory", "64m");
    }

    @BeforeEach
    void connect() {
        jedis = running.jedis();
        jedis.flushAll();
        assertThat(running.server.snapshot().pool().blocks()).isZero();
    }

    @AfterEach
    void nothingLeaks() {
        jedis.close();
        running.assertNothingLeaked();
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 4095, 4096, 4097, 65_536, 300_000, 20_000_000})
    void getsWhatWasSet(int length) {
        byte[] key = {'k', 0, (byte) 0xff, '\r', '\n'};
        byte[] value = new byte[length];
        new Random(length).nextBytes(value);

        assertThat(jedis.set(key, value)).isEqualTo("OK");

        assertThat(jedis.get(key)).isEqualTo(value);
        assertThat(running.server.snapshot().pool().valueBytes()).isEqualTo(length);
    }

    @Test
    void returnsNullForAMissingKey() {
        assertThat(jedis.get("none")).isNull();
    }

    @Test
    void replacesValuesOfTheSameAndOfDifferentLength() {
        for (String value : List.of("one", "two", "three", "", "four")) {
            jedis.set("key", value);
            assertThat(jedis.get("key")).isEqualTo(value);
        }
        assertThat(jedis.dbSize()).isEqualTo(1);
    }

    @Test
    void setsOnlyIfAbsentOrOnlyIfPresent() {
        assertThat(jedis.set("key", "a", SetParams.setParams().xx())).isNull();
        assertThat(jedis.exists("key")).isFalse();
        assertThat(jedis.set("key", "b", SetParams.setParams().nx())).isEqualTo("OK");
        assertThat(jedis.set("key", "c", SetParams.setParams().nx())).isNull();
        assertThat(jedis.get("key")).isEqualTo("b");
        assertThat(jedis.set("key", "d", SetParams.setParams().xx())).isEqualTo("OK");
        assertThat(jedis.set("key", "longer", SetParams.setParams().xx())).isEqualTo("OK");
        assertThat(jedis.get("key")).isEqualTo("longer");
    }

    @Test
    void expiresValues() {
        long before = running.server.snapshot().expiredKeys();
        jedis.set("key", "value", SetParams.setParams().px(50));
        jedis.set("other", "value", SetParams.setParams().ex(1000));

        await().until(() -> jedis.get("key") == null);
        assertThat(jedis.get("other")).isEqualTo("value");
        await().until(() -> running.server.snapshot().expiredKeys() == before + 1);
        assertThat(running.server.snapshot().pool().blocks()).isEqualTo(1);
    }

    @Test
    void expiresValuesAfterTheirDeadlineWasChanged() {
        jedis.set("sooner", "value", SetParams.setParams().ex(1000));
        jedis.set("kept", "value", SetParams.setParams().px(400));
        jedis.set("kept", "other");
        await("a change before it expires").until(() -> {
            jedis.set("later", "value", SetParams.setParams().px(400));
            return jedis.expire("later", 1000) == 1;
        });
        jedis.pexpire("sooner", 700);

        await().until(() -> jedis.get("sooner") == null);
        assertThat(jedis.mget("kept", "later")).containsExactly("other", "value");
    }

    @Test
    void returnsAndChangesTheTimeToLive() {
        assertThat(jedis.ttl("key")).isEqualTo(-2);
        assertThat(jedis.expire("key", 10)).isZero();
        jedis.set("key", "value");
        assertThat(jedis.ttl("key")).isEqualTo(-1);
        assertThat(jedis.expire("key", 1000)).isEqualTo(1);
        assertThat(jedis.ttl("key")).isBetween(1L, 1000L);
        assertThat(jedis.pexpire("key", 500_000)).isEqualTo(1);
        assertThat(jedis.pttl("key")).isBetween(1L, 500_000L);
        jedis.set("key", "other", SetParams.setParams().keepTtl());
        assertThat(jedis.pttl("key")).isBetween(1L, 500_000L);
        jedis.set("key", "longer value", SetParams.setParams().keepTtl());
        assertThat(jedis.pttl("key")).isBetween(1L, 500_000L);
        jedis.set("key", "longer-value");
        assertThat(jedis.ttl("key")).isEqualTo(-1);
        assertThat(jedis.expire("key", 1L << 50)).isEqualTo(1);
        assertThat(jedis.ttl("key")).isBetween((1L << 50) - 1000, 1L << 50);
        assertThat(jedis.expire("key", 0)).isEqualTo(1);
        assertThat(jedis.exists("key")).isFalse();
        assertThat(jedis.expire("key", -1)).isZero();
    }

    @Test
    void setsAndGetsSeveralKeys() {
        assertThat(jedis.mset("a", "1", "b", "2", "a", "3")).isEqualTo("OK");

        assertThat(jedis.mget("a", "none", "b", "a")).containsExactly("3", null, "2", "3");
        assertThat(jedis.exists("a", "none", "a")).isEqualTo(2);
        assertThat(jedis.del("a", "none", "a")).isEqualTo(1);
        assertThat(jedis.dbSize()).isEqualTo(1);
    }

    @Test
    void increments() {
        assertThat(jedis.incr("n")).isEqualTo(1);
        assertThat(jedis.incr("n")).isEqualTo(2);
        jedis.set("n", "-10", SetParams.setParams().ex(1000));
        assertThat(jedis.incr("n")).isEqualTo(-9);
        assertThat(jedis.ttl("n")).isPositive();
        assertThat(jedis.get("n")).isEqualTo("-9");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "x", "1.5", "+1", "01", " 1", "9223372036854775808", "123456789012345678901"})
    void refusesToIncrementAValueThatIsNotANumber(String value) {
        jedis.set("n", value);

        assertThatThrownBy(() -> jedis.incr("n"))
                .isInstanceOf(JedisDataException.class)
                .hasMessage("ERR value is not an integer or out of range");
        assertThat(jedis.get("n")).isEqualTo(value);
    }

    @Test
    void refusesToIncrementTheLargestNumber() {
        jedis.set("n", Long.toString(Long.MAX_VALUE));

        assertThatThrownBy(() -> jedis.incr("n")).hasMessage("ERR increment or decrement would overflow");
    }

    @Test
    void separatesTenants() {
        jedis.set("key", "zero");
        jedis.select(1);
        assertThat(jedis.get("key")).isNull();
        jedis.set("key", "one");
        jedis.set("more", "one");
        assertThat(jedis.dbSize()).isEqualTo(2);
        assertThat(running.server.snapshot().tenants())
                .containsExactly(new Snapshot.Tenant(0, 1, 4), new Snapshot.Tenant(1, 2, 6));

        jedis.flushDB();

        assertThat(jedis.dbSize()).isZero();
        jedis.select(0);
        assertThat(jedis.get("key")).isEqualTo("zero");
        jedis.select(15);
        assertThatThrownBy(() -> jedis.select(16)).hasMessage("ERR DB index is out of range");
        jedis.flushAll();
        assertThat(running.server.snapshot().keys()).isZero();
    }

    @Test
    void reportsItsStateAndConfiguration() {
        jedis.set("key", "value");
        jedis.get("key");
        jedis.get("none");

        assertThat(jedis.info())
                .contains(
                        "# Server",
                        "# Clients",
                        "# Memory",
                        "# Stats",
                        "# Keyspace",
                        "# Ksm",
                        "db0:keys=1,value_bytes=5")
                .contains("maxmemory:67108864", "used_memory:4096", "tcp_port:" + running.server.port());
        assertThat(jedis.info("ksm")).startsWith("# Ksm").contains("requested_bytes:", "saved_bytes:", "ksmd_running:");
        assertThat(jedis.info("nonsense")).isEmpty();
        assertThat(jedis.configGet("maxmemory")).isEqualTo(Map.of("maxmemory", "67108864"));
        assertThat(jedis.configGet("nonsense")).isEmpty();
        assertThat(jedis.commandCount()).isEqualTo(Command.values().length);
    }

    @Test
    void countsFromTheLastResetOn() {
        jedis.get("none");
        assertThat(jedis.configResetStat()).isEqualTo("OK");
        assertThat(jedis.info("stats")).contains("keyspace_misses:0\r\n", "total_connections_received:0\r\n");
        jedis.get("none");
        try (Jedis other = running.jedis()) {
            other.ping();
            assertThat(jedis.info("stats")).contains("keyspace_misses:1\r\n", "total_connections_received:1\r\n");
        }
        assertThat(running.server.snapshot().misses()).isGreaterThanOrEqualTo(2);
    }

    @Test
    void listsClients() {
        try (Jedis other = running.jedis()) {
            other.clientSetname("other");
            other.select(3);
            String line = other.clientInfo();
            assertThat(line)
                    .matches("id=\\d+ addr=127\\.0\\.0\\.1:\\d+ laddr=127\\.0\\.0\\.1:" + running.server.port()
                            + " name=other age=\\d+ db=3 resp=2\n");
            assertThat(jedis.clientList()).contains("id=" + jedis.clientId() + " ", " name=other ");
            assertThat(jedis.clientList(other.clientId()))
                    .startsWith("id=" + other.clientId() + " ")
                    .hasLineCount(1);
        }
        await().untilAsserted(() -> assertThat(jedis.clientList()).hasLineCount(1));
    }

    @Test
    void answersPingsAndNamesClients() {
        assertThat(jedis.ping()).isEqualTo("PONG");
        assertThat(jedis.ping("hello")).isEqualTo("hello");
        assertThat(jedis.echo("hello")).isEqualTo("hello");
        assertThat(jedis.clientGetname()).isNull();
        assertThat(jedis.clientSetname("joe")).isEqualTo("OK");
        assertThat(jedis.clientGetname()).isEqualTo("joe");
        assertThat(jedis.clientId()).isPositive();
        assertThatThrownBy(() -> jedis.clientSetname("a b")).hasMessageContaining("cannot contain spaces");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "GET | ERR wrong number of arguments for 'get' command",
                "GET a b | ERR wrong number of arguments for 'get' command",
                "MSET a | ERR wrong number of arguments for 'mset' command",
                "MSET a b c | ERR wrong number of arguments for 'mset' command",
                "SET a b NX XX | ERR syntax error",
                "SET a b EX | ERR syntax error",
                "SET a b EX 1 PX 1 | ERR syntax error",
                "SET a b EX 1 KEEPTTL | ERR syntax error",
                "SET a b nonsense | ERR syntax error",
                "SET a b EX x | ERR value is not an integer or out of range",
                "SET a b EX 0 | ERR invalid expire time in 'set' command",
                "SET a b PX -1 | ERR invalid expire time in 'set' command",
                "SET a b EX 9223372036854775807 | ERR invalid expire time in 'set' command",
                "EXPIRE a 9223372036854775807 | ERR invalid expire time in 'expire' command",
                "EXPIRE a x | ERR value is not an integer or out of range",
                "SELECT x | ERR value is not an integer or out of range",
                "SELECT -1 | ERR DB index is out of range",
                "FLUSHALL nonsense | ERR syntax error",
                "HELLO 4 | NOPROTO unsupported protocol version",
                "HELLO x | ERR Protocol version is not an integer or out of range",
                "CONFIG SET maxmemory 1 | ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set"
                        + " immutable config",
                "AUTH x | ERR AUTH <password> called without any password configured for the default user. Are you sure"
                        + " your configuration is correct?",
                "HELLO 2 nonsense | ERR Syntax error in HELLO option 'nonsense'",
            })
    void returnsTheErrorsOfRedis(String request, String error) {
        String[] words = request.split(" ");

        assertThatThrownBy(() -> send(words))
                .isInstanceOf(JedisDataException.class)
                .hasMessage(error);

        assertThat(jedis.ping()).isEqualTo("PONG");
        assertThat(jedis.dbSize()).isZero();
    }

    @ParameterizedTest
    @ValueSource(strings = {"CONFIG NONSENSE", "CLIENT KILL x", "COMMAND NONSENSE"})
    void reportsUnknownSubcommands(String request) {
        assertThatThrownBy(() -> send(request.split(" "))).hasMessageContaining("unknown subcommand");
    }

    @Test
    void longTextsAreNoNumbers() {
        jedis.set("n", "1".repeat(1_000_000) + "x");

        assertThatThrownBy(() -> jedis.incrByFloat("n", 1)).hasMessage("ERR value is not a valid float");
        assertThatThrownBy(() -> jedis.incr("n")).hasMessage("ERR value is not an integer or out of range");
        assertThatThrownBy(() -> send("INCRBYFLOAT", "m", "1".repeat(200) + "x"))
                .hasMessage("ERR value is not a valid float");
    }

    @Test
    void reportsUnknownCommands() {
        assertThatThrownBy(() -> send("LPUSH", "a", "b\r\nc"))
                .hasMessage("ERR unknown command 'LPUSH', with args beginning with: 'a' 'b  c' ");
    }

    @Test
    void refusesTooLongKeys() {
        String key = "k".repeat(Key.MAX_BYTES + 1);

        assertThatThrownBy(() -> jedis.set(key, "value")).hasMessageContaining("key is longer than");
        assertThat(jedis.get(key)).isNull();
        assertThat(jedis.set(key.substring(1), "value")).isEqualTo("OK");
        assertThat(jedis.get(key.substring(1))).isEqualTo("value");
    }

    @Test
    void answersPipelinesInOrder() {
        Pipeline pipeline = jedis.pipelined();
        for (int i = 0; i < 5000; i++) {
            pipeline.set("key" + i % 100, "value" + i);
        }
        List<Response<String>> values =
                IntStream.range(0, 100).mapToObj(i -> pipeline.get("key" + i)).toList();
        pipeline.sync();

        for (int i = 0; i < 100; i++) {
            assertThat(values.get(i).get()).isEqualTo("value" + (4900 + i));
        }
    }

    private void send(String... words) {
        byte[][] arguments = Arrays.stream(words)
                .skip(1)
                .map(word -> word.getBytes(StandardCharsets.UTF_8))
                .toArray(byte[][]::new);
        jedis.sendCommand(() -> words[0].getBytes(StandardCharsets.UTF_8), arguments);
    }
}
