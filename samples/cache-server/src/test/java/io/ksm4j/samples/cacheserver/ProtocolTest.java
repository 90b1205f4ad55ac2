// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.Jedis;

/** Tests single malformed and unusual requests. */
class ProtocolTest {

    private static ServerUnderTest running;

    @BeforeAll
    static void start() throws IOException {
        running = new ServerUnderTest("--max-memory", "64m");
    }

    /** Checks that other clients are still served. */
    @AfterEach
    void checkThatServerStillWorks() {
        try (Jedis jedis = running.jedis()) {
            jedis.set("still", "there");
            assertThat(jedis.get("still")).isEqualTo("there");
            jedis.flushAll();
        }
        running.assertNothingLeaked();
    }

    @AfterAll
    static void stop() {
        running.close();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "*\\r\\n | invalid multibulk length",
                "*01\\r\\n | invalid multibulk length",
                "*-0\\r\\n | invalid multibulk length",
                "*+1\\r\\n | invalid multibulk length",
                "*1048577\\r\\n | invalid multibulk length",
                "*99999999999999999999999\\r\\n | invalid multibulk length",
                "*x\\r\\n | invalid multibulk length",
                "*1\\r\\n$-1\\r\\n | invalid bulk length",
                "*1\\r\\n$-7\\r\\n | invalid bulk length",
                "*1\\r\\n$x\\r\\n | invalid bulk length",
                "*1\\r\\n$536870913\\r\\n | invalid bulk length",
                // Larger than the pool.
                "*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\na\\r\\n$67108865\\r\\n | invalid bulk length",
                "*1\\r\\n*1\\r\\n | expected '$', got '*'",
                "*1\\r\\n+PING\\r\\n | expected '$', got '+'",
                "*1\\r\\n:1\\r\\n | expected '$', got ':'",
                "*1\\r\\nPING\\r\\n | expected '$', got 'P'",
                "GET \"a\\r\\n | unbalanced quotes in request",
                "GET 'a\\r\\n | unbalanced quotes in request",
                "GET \"a\"b\\r\\n | unbalanced quotes in request",
                "GET 'a'b\\n | unbalanced quotes in request",
            })
    void refusesInvalidRequests(String request, String problem) throws IOException {
        try (RawClient client = running.raw()) {
            client.send("PING\r\n" + request.replace("\\r", "\r").replace("\\n", "\n"));

            assertThat(client.readToEnd()).isEqualTo("+PONG\r\n-ERR Protocol error: " + problem + "\r\n");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"POST", "GET", "OPTIONS"})
    void executesNoRequestsSentByWebPages(String method) throws IOException {
        try (RawClient client = running.raw();
                Jedis jedis = running.jedis()) {
            client.send(method + " / HTTP/1.1\r\nhost: localhost:6379\r\n\r\nSET evil 1\r\n");

            assertThat(client.readToEnd()).endsWith("-ERR Protocol error: this is not a web server\r\n");
            assertThat(jedis.exists("evil")).isFalse();
        }
    }

    @Test
    void refusesAnEndlessLine() throws IOException {
        try (RawClient client = running.raw()) {
            client.send("x".repeat(70_000));

            assertThat(client.readToEnd()).startsWith("-ERR Protocol error: ");
        }
    }

    @Test
    void acceptsInlineCommandsAndEmptyRequests() throws IOException {
        try (RawClient client = running.raw()) {
            assertThat(client.ask("\r\n*0\r\n*-1\r\n  PING  \r\n", 7)).isEqualTo("+PONG\r\n");
            assertThat(client.ask("set \"a b\" 'c d'\r\n", 5)).isEqualTo("+OK\r\n");
            assertThat(client.ask("get \"a b\"\r\n", 9)).isEqualTo("$3\r\nc d\r\n");
            assertThat(client.ask("quit\r\nping\r\n", 5)).isEqualTo("+OK\r\n");
            assertThat(client.readToEnd()).isEmpty();
        }
    }

    /** Replies as Redis 7.0 gives them. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "ECHO a\\n | a",
                "ECHO\\ta\\r\\n | a",
                "ECHO \"\\\\x41\\\\x62\\\\xff\"\\r\\n | Ab\u00ff",
                "ECHO \"\\\\n\\\\t\\\\q\\\\\"\"\\r\\n | \\n\\tq\"",
                "ECHO '\\\\'\\\\n'\\r\\n | '\\\\n",
                "ECHO a\"b c\"\\r\\n | ab c",
                "ECHO \u00e9\u0080\\r\\n | \u00e9\u0080",
            })
    void readsLinesAsRedisDoes(String request, String word) throws IOException {
        String echoed = unescaped(word);
        String reply = "$" + echoed.length() + "\r\n" + echoed + "\r\n";
        try (RawClient client = running.raw()) {
            assertThat(client.ask(unescaped(request), reply.length())).isEqualTo(reply);
        }
    }

    private static String unescaped(String text) {
        return text.replace("\\\\", "\0")
                .replace("\\r", "\r")
                .replace("\\n", "\n")
                .replace("\\t", "\t")
                .replace('\0', '\\');
    }

    @ParameterizedTest
    @ValueSource(strings = {"$4", "$-1", "\u00ff", "\u00ffGET"})
    void otherLinesAreUnknownCommands(String line) throws IOException {
        String reply = "-ERR unknown command '" + line + "', with args beginning with: \r\n";
        try (RawClient client = running.raw()) {
            assertThat(client.ask(line + "\r\nPING\r\n", reply.length() + 7)).isEqualTo(reply + "+PONG\r\n");
        }
    }

    @Test
    void skipsEmptyArrays() throws IOException {
        try (RawClient client = running.raw()) {
            assertThat(client.ask("*-10\r\n*0\r\nPING\r\n", 7)).isEqualTo("+PONG\r\n");
        }
    }

    @Test
    void emptyRequestsAreNotIncomplete() throws Exception {
        try (ServerUnderTest impatient = new ServerUnderTest(Duration.ofMillis(100));
                RawClient idle = impatient.raw();
                RawClient half = impatient.raw()) {
            assertThat(idle.ask("PING\r\n\r\n*0\r\n", 7)).isEqualTo("+PONG\r\n");
            half.send("GET");
            assertThat(half.readToEnd()).isEmpty();
            half.socket.close();
            try (RawClient another = impatient.raw()) {
                another.send("GET");
                assertThat(another.readToEnd()).isEmpty();
            }
            assertThat(idle.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
        }
    }

    @Test
    void disconnectsClientsThatDoNotCompleteALine() throws IOException {
        try (ServerUnderTest impatient = new ServerUnderTest(Duration.ofMillis(200));
                RawClient half = impatient.raw()) {
            half.send("GET a");

            assertThat(half.readToEnd()).isEmpty();
        }
    }

    @Test
    void acceptsARequestSentByteByByte() throws IOException {
        String value = "v".repeat(300);
        String request = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300\r\n" + value + "\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
        try (RawClient client = running.raw()) {
            client.socket.setTcpNoDelay(true);
            for (int i = 0; i < request.length(); i++) {
                client.send(request.substring(i, i + 1));
            }

            assertThat(client.read(5 + 6 + 302)).isEqualTo("+OK\r\n$300\r\n" + value + "\r\n");
        }
    }

    @Test
    void storesNoIncompleteRequests() throws IOException {
        List<RawClient> clients = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            RawClient client = running.raw();
            clients.add(client);
            client.send("*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$60000000\r\n" + "x".repeat(i * 10_000));
        }
        assertThat(running.server.snapshot().pool().usedBytes()).isZero();
        for (RawClient client : clients) {
            client.close();
        }
        try (Jedis jedis = running.jedis()) {
            assertThat(jedis.exists("half")).isFalse();
        }
        await().until(() -> running.server.snapshot().connectedClients() == 0);
    }

    @Test
    void limitsReceivedBytesNotAnnouncedBytes() throws IOException {
        // Together they announce more than the limit for incomplete requests.
        String announcement = "*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$60000000\r\n";
        try (RawClient first = running.raw();
                RawClient second = running.raw();
                RawClient third = running.raw()) {
            assertThat(first.ask("PING\r\n" + announcement, 7)).isEqualTo("+PONG\r\n");
            assertThat(second.ask("PING\r\n" + announcement, 7)).isEqualTo("+PONG\r\n");
            assertThat(third.ask(announcement + "x".repeat(60_000_000) + "\r\n", 5))
                    .isEqualTo("+OK\r\n");
        }
    }

    @Test
    void limitsTheNumberOfEmptyWords() throws IOException {
        try (RawClient client = running.raw()) {
            client.send("*1048576\r\n$4\r\nMGET\r\n" + "$0\r\n\r\n".repeat((1 << 20) - 1));

            assertThat(client.readToEnd()).isEqualTo("-ERR Protocol error: invalid bulk length\r\n");
        }
    }

    @Test
    void disconnectsClientsThatDoNotCompleteARequest() throws IOException {
        try (ServerUnderTest impatient = new ServerUnderTest(Duration.ofMillis(200));
                RawClient half = impatient.raw();
                RawClient idle = impatient.raw()) {
            half.send("*2\r\n$3\r\nGET\r\n");

            assertThat(half.readToEnd()).isEmpty();
            assertThat(idle.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
        }
    }

    @Test
    void stopsReadingFromClientsThatDoNotReadReplies() throws IOException {
        int count = 4_000;
        byte[] value = "v".repeat(65_536).getBytes(StandardCharsets.US_ASCII);
        try (Jedis jedis = running.jedis();
                RawClient slow = running.raw()) {
            jedis.set("big".getBytes(StandardCharsets.US_ASCII), value);
            // A quarter of a gigabyte of replies.
            Thread sender = new Thread(() -> {
                try {
                    for (int i = 0; i < count; i++) {
                        slow.send("*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n");
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            sender.start();
            long before = running.server.snapshot().hits();
            await().pollDelay(Duration.ofMillis(300))
                    .during(Duration.ofMillis(300))
                    .until(() -> running.server.snapshot().hits() - before < 1000);

            for (int i = 0; i < count; i++) {
                String reply = slow.read(8 + value.length + 2);
                assertThat(reply)
                        .hasSize(8 + value.length + 2)
                        .startsWith("$65536\r\nvvv")
                        .endsWith("vvv\r\n");
            }
            assertThat(jedis.ping()).isEqualTo("PONG");
        }
    }
}
