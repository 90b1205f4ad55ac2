// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.util.ResourceLeakDetector;
import java.io.IOException;
import java.net.Socket;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.ShrinkingMode;
import net.jqwik.api.Tag;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.AfterTry;
import net.jqwik.api.lifecycle.BeforeContainer;
import org.awaitility.Awaitility;

/** Sends random malformed requests: earlier requests are answered, the server keeps working, and nothing leaks. */
@Tag("more")
class MalformedRequestsTest {

    private static final int TIMEOUT_MILLIS = 180_000;
    private static final String LEAKED_BY_THE_TEST = "leaked by the test itself";
    private static final String LINE_LONGER_THAN_64_KIB = "x".repeat(70_000);

    /** Logged leaks and unexpected exceptions. */
    private static final Queue<String> PROBLEMS = new ConcurrentLinkedQueue<>();

    private static final Handler LISTENER = new Handler() {
        @Override
        public void publish(LogRecord entry) {
            if (entry.getLevel().intValue() >= Level.SEVERE.intValue()) {
                PROBLEMS.add(entry.getMessage() + " " + entry.getThrown());
            }
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
    };

    // Strong references, because unreferenced loggers are garbage-collected with their handlers.
    private static final List<Logger> LOGGERS =
            List.of(Logger.getLogger("io.netty"), Logger.getLogger("io.ksm4j.samples"));

    private static ResourceLeakDetector.Level levelBefore = ResourceLeakDetector.getLevel();
    private static CacheServer server;

    @BeforeContainer
    static void start() throws IOException {
        LOGGERS.forEach(logger -> {
            logger.addHandler(LISTENER);
            logger.setUseParentHandlers(false);
        });
        levelBefore = ResourceLeakDetector.getLevel();
        ResourceLeakDetector.setLevel(ResourceLeakDetector.Level.PARANOID);
        server = CacheServer.start(
                Options.parse("--port", "0", "--max-memory", "16m", "--merge", "off", "--ksmd", "off"));
    }

    private static Socket connect() throws IOException {
        Socket socket = new Socket(server.address().getAddress(), server.port());
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(TIMEOUT_MILLIS);
        return socket;
    }

    /**
     * The bytes that a client sends.
     *
     * @param requests valid requests and their replies
     * @param garbage bytes sent after the valid requests
     * @param cuts the positions at which the bytes are split into pieces, as fractions of the total length
     */
    record Bytes(List<Request> requests, String garbage, List<Double> cuts) {

        String answers() {
            return String.join("", requests.stream().map(Request::answer).toList());
        }

        byte[] all() {
            return (String.join("", requests.stream().map(Request::bytes).toList()) + garbage).getBytes(ISO_8859_1);
        }
    }

    record Request(String bytes, String answer) {}

    @Property(tries = 200, shrinking = ShrinkingMode.OFF)
    void answersValidRequestsBeforeGarbage(@ForAll("bytes") Bytes bytes) throws IOException {
        try (Socket client = connect()) {
            send(client, bytes);
            assertThat(read(client, bytes.answers().length())).isEqualTo(bytes.answers());
            client.shutdownOutput();
            String rest = new String(client.getInputStream().readAllBytes(), ISO_8859_1);
            assertThat(afterReplies(rest)).as("not a reply, in %s", rest).isEmpty();
        }
    }

    @Property(tries = 100, shrinking = ShrinkingMode.OFF)
    void clientsMayDisconnectAtAnyTime(@ForAll("bytes") Bytes bytes) throws IOException {
        try (Socket client = connect()) {
            send(client, bytes);
            // Closing with unread data resets the connection.
            client.setSoLinger(bytes.cuts().size() % 2 == 0, 0);
        }
    }

    @Property(shrinking = ShrinkingMode.OFF)
    void invalidLengthsAreRefused(@ForAll("tooLong") String request) throws IOException {
        try (Socket client = connect()) {
            client.getOutputStream().write(request.getBytes(ISO_8859_1));
            assertThat(new String(client.getInputStream().readAllBytes(), ISO_8859_1))
                    .startsWith("-ERR Protocol error")
                    .endsWith("\r\n")
                    .hasLineCount(1);
        }
    }

    @AfterTry
    void otherClientsAreServedAndNoBlockLeaks() throws IOException {
        try (Socket client = connect()) {
            assertThat(ask(client, encode("PING"), 7)).isEqualTo("+PONG\r\n");
            // All earlier clients have been accepted, but their requests may still be executing.
            if (server.snapshot().connectedClients() > 1) {
                Awaitility.await()
                        .pollInterval(1, TimeUnit.MILLISECONDS)
                        .until(() -> server.snapshot().connectedClients() == 1);
            }
            assertThat(ask(client, encode("FLUSHALL"), 5)).isEqualTo("+OK\r\n");
        }
        assertThat(server.snapshot().pool().blocks()).isZero();
        assertThat(server.snapshot().pool().usedBytes()).isZero();
        assertThat(PROBLEMS).isEmpty();
    }

    private static String ask(Socket client, String request, int length) throws IOException {
        client.getOutputStream().write(request.getBytes(ISO_8859_1));
        return read(client, length);
    }

    @AfterContainer
    static void stopAndCheckForLeakedBuffers() {
        server.close();
        leakABuffer();
        // Netty reports leaked buffers when it allocates new ones. Once it has reported ours, it has reported all.
        Awaitility.await().until(() -> {
            System.gc();
            PooledByteBufAllocator.DEFAULT.directBuffer().release();
            return PROBLEMS.stream().anyMatch(entry -> entry.contains(LEAKED_BY_THE_TEST));
        });
        ResourceLeakDetector.setLevel(levelBefore);
        LOGGERS.forEach(logger -> {
            logger.removeHandler(LISTENER);
            logger.setUseParentHandlers(true);
        });
        assertThat(PROBLEMS).allMatch(entry -> entry.contains(LEAKED_BY_THE_TEST));
    }

    private static void leakABuffer() {
        ByteBuf buffer = PooledByteBufAllocator.DEFAULT.directBuffer();
        buffer.touch(LEAKED_BY_THE_TEST);
    }

    private static void send(Socket client, Bytes bytes) throws IOException {
        byte[] all = bytes.all();
        int from = 0;
        for (double cut : bytes.cuts().stream().sorted().toList()) {
            int to = (int) (cut * all.length);
            client.getOutputStream().write(all, from, to - from);
            from = to;
        }
        client.getOutputStream().write(all, from, all.length - from);
    }

    private static String read(Socket client, int length) throws IOException {
        return new String(client.getInputStream().readNBytes(length), ISO_8859_1);
    }

    /** Returns the rest of a text after its complete replies. */
    private static String afterReplies(String text) {
        int position = 0;
        while (position < text.length()) {
            int end = text.indexOf("\r\n", position);
            char type = text.charAt(position);
            if (end < 0 || "+-:$*".indexOf(type) < 0) {
                break;
            }
            int next = end + 2;
            if (type == '$') {
                int length = Integer.parseInt(text.substring(position + 1, end));
                next += length < 0 ? 0 : length + 2;
            }
            position = next;
        }
        return position > text.length() ? "an incomplete reply" : text.substring(position);
    }

    private static String encode(String... words) {
        return RequestParserTest.encode(List.of(words));
    }

    @Provide
    Arbitrary<Bytes> bytes() {
        Arbitrary<String> garbage = Arbitraries.oneOf(
                latin(0, 300), mutated(), tooLong(), deepArrays(), inlineCommands(), halves(), Arbitraries.just(""));
        return Combinators.combine(
                        requests(),
                        garbage,
                        Arbitraries.doubles().between(0, 1).list().ofMaxSize(3))
                .as(Bytes::new);
    }

    /** Generates requests, some of which read what earlier ones have written. */
    private static Arbitrary<List<Request>> requests() {
        Arbitrary<String> value = Arbitraries.oneOf(
                latin(0, 20), Arbitraries.integers().between(4000, 20_000).map(length -> "v".repeat(length)));
        return Arbitraries.oneOf(
                        value.map(text -> List.of(
                                new Request(encode("SET", "key", text), "+OK\r\n"),
                                new Request(encode("GET", "key"), bulk(text)),
                                new Request(encode("sEt", "key", text, "PX", "60000", "xx"), "+OK\r\n"),
                                new Request(encode("DEL", "key"), ":1\r\n"))),
                        value.map(text -> List.of(new Request(encode("ECHO", text), bulk(text)))),
                        Arbitraries.of(
                                List.of(new Request("PING\r\n", "+PONG\r\n")),
                                List.of(new Request("\r\n", "")),
                                List.of(new Request("*0\r\n", "")),
                                List.of(
                                        new Request(encode("INCR", "n"), ":1\r\n"),
                                        new Request("DEL n\r\n", ":1\r\n"))),
                        Arbitraries.integers().between(1000, 5000).map(MalformedRequestsTest::manyWords))
                .list()
                .ofMaxSize(4)
                .map(lists -> lists.stream().flatMap(List::stream).toList());
    }

    private static List<Request> manyWords(int count) {
        String[] words = new String[count + 1];
        Arrays.fill(words, "none");
        words[0] = "MGET";
        return List.of(new Request(encode(words), "*" + count + "\r\n" + "$-1\r\n".repeat(count)));
    }

    private static String bulk(String text) {
        return "$" + text.length() + "\r\n" + text + "\r\n";
    }

    private static Arbitrary<String> latin(int min, int max) {
        return Arbitraries.strings()
                .withCharRange('\0', '\u00ff')
                .withChars("*$\r\n-:+0123456789 \"'")
                .ofMinLength(min)
                .ofMaxLength(max);
    }

    /** Generates commands of all kinds with words that may be invalid. */
    private static Arbitrary<String> commands() {
        Arbitrary<String> word = Arbitraries.oneOf(
                Arbitraries.of(
                        "a", "b", "1", "-1", "EX", "PX", "NX", "XX", "KEEPTTL", "GET", "9223372036854775807", "*", ""),
                latin(0, 10));
        return Combinators.combine(
                        Arbitraries.of(Command.values()).map(Command::name),
                        word.list().ofMaxSize(5))
                .as((name, words) -> {
                    List<String> all = new ArrayList<>(words);
                    all.add(0, name);
                    return encode(all.toArray(String[]::new));
                });
    }

    private static Arbitrary<String> mutated() {
        Arbitrary<String> valid = commands().list().ofMinSize(1).ofMaxSize(4).map(list -> String.join("", list));
        return Combinators.combine(
                        valid,
                        Arbitraries.integers().between(0, 1_000_000),
                        Arbitraries.integers().between(0, 4),
                        latin(1, 3))
                .as((text, where, how, other) -> {
                    int at = where % text.length();
                    return switch (how) {
                        case 0 -> text.substring(0, at) + other + text.substring(at);
                        case 1 -> text.substring(0, at) + text.substring(at + 1);
                        case 2 -> text.substring(0, at) + other + text.substring(at + 1);
                        case 3 -> text.substring(0, at) + text;
                        default -> text;
                    };
                });
    }

    private static Arbitrary<String> halves() {
        return Combinators.combine(commands(), Arbitraries.doubles().between(0, 1))
                .as((text, part) -> text.substring(0, (int) (part * text.length())));
    }

    private static Arbitrary<String> deepArrays() {
        return Arbitraries.integers().between(1, 5000).map(depth -> "*1\r\n".repeat(depth));
    }

    private static Arbitrary<String> inlineCommands() {
        return Combinators.combine(
                        Arbitraries.of("PING", "GET", "SET", "ECHO", "\"", "'", "QUIT", "COMMAND"),
                        latin(0, 100).map(text -> text.replaceAll("[\r\n]", " ")),
                        Arbitraries.of("\r\n", "\n", ""))
                .as((name, rest, end) -> name + " " + rest + end);
    }

    @Provide
    Arbitrary<String> tooLong() {
        return Arbitraries.of(
                "*1048577\r\n",
                "*2147483647\r\n",
                "*2147483648\r\n",
                "*9223372036854775807\r\n",
                "*9223372036854775808\r\n",
                "*99999999999999999999999999999\r\n",
                "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$16777217\r\n",
                "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$536870913\r\n",
                "*1\r\n$2147483648\r\n",
                "*1\r\n$-1\r\n",
                "*1\r\n$-2\r\n",
                "*2\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
                "*1\r\n:1\r\n",
                "*x\r\n",
                "*1\r\n$x\r\n",
                LINE_LONGER_THAN_64_KIB);
    }
}
