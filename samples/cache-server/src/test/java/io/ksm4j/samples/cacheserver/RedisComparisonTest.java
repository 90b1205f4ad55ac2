// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import io.ksm4j.testsupport.Needed;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.SocketException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Sends the same random pipelines, cut at random places, to this server and to Redis. The replies must be equal byte
 * for byte. Differences that are meant are in {@code docs/cache-server.md}, and no command here runs into them.
 */
class RedisComparisonTest {

    private static final List<String> KEYS = List.of("a", "b", "c", "key with a space", "\u00ff\0", "");

    /** Words for arguments: numbers at the limits, options, and garbage. */
    private static final List<String> WORDS = List.of(
            "0",
            "1",
            "-1",
            "2",
            "10",
            "100",
            "-100",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "9223372036854775",
            "-9223372036854775",
            "01",
            "+1",
            " 1",
            "1 ",
            "",
            "abc",
            "3.5",
            "0.1",
            "-2.5e3",
            "1e400",
            ".5",
            "5.",
            "1234567.1",
            "\u00e9\u0080",
            "x\r\ny");

    private static final List<String> OPTIONS =
            List.of("EX", "PX", "EXAT", "PXAT", "NX", "XX", "GT", "LT", "GET", "KEEPTTL", "PERSIST", "nx", "ex", "BAD");

    private static @TempDir Path directory;
    private static ServerUnderTest running;
    private static Process redis;
    private static int redisPort;

    @BeforeAll
    static void start() throws Exception {
        Needed.program("redis-server", "redis-server");
        running = new ServerUnderTest("--max-memory", "64m");
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            redisPort = socket.getLocalPort();
        }
        redis = new ProcessBuilder(
                        "redis-server",
                        "--port",
                        Integer.toString(redisPort),
                        "--bind",
                        "127.0.0.1",
                        "--save",
                        "",
                        "--maxmemory-policy",
                        "allkeys-lfu",
                        "--dir",
                        directory.toString())
                .redirectErrorStream(true)
                .redirectOutput(directory.resolve("redis.log").toFile())
                .start();
        Awaitility.await().atMost(PATIENCE).ignoreExceptions().until(() -> {
            try (RawClient client = new RawClient(redisPort)) {
                return client.ask("PING\r\n", 7).equals("+PONG\r\n");
            }
        });
    }

    @AfterAll
    static void stop() {
        if (redis != null) {
            redis.destroyForcibly();
        }
        if (running != null) {
            running.close();
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void repliesAreEqualByteForByte(long seed) throws IOException {
        Random random = new Random(seed);
        for (int round = 0; round < 40; round++) {
            List<String> requests = new ArrayList<>(List.of(RequestParserTest.encode(List.of("FLUSHALL"))));
            if (random.nextInt(3) == 0) {
                requests.add(RequestParserTest.encode(List.of("CLIENT", "SETNAME", "x")));
            }
            for (int i = 0; i < 60; i++) {
                requests.add(RequestParserTest.encode(command(random)));
            }
            compare(requests, random);
        }
    }

    /** RESP3, whose nulls and maps look different. */
    @Test
    void repliesAreEqualInResp3() throws IOException {
        compare(
                List.of(
                        RequestParserTest.encode(List.of("FLUSHALL")),
                        RequestParserTest.encode(List.of("SET", "a", "1")),
                        RequestParserTest.encode(List.of("GET", "none")),
                        RequestParserTest.encode(List.of("MGET", "a", "none")),
                        RequestParserTest.encode(List.of("SET", "a", "2", "NX")),
                        RequestParserTest.encode(List.of("SET", "a", "2", "GET")),
                        RequestParserTest.encode(List.of("CONFIG", "GET", "databases")),
                        RequestParserTest.encode(List.of("CONFIG", "GET", "none")),
                        RequestParserTest.encode(List.of("WATCH", "a")),
                        RequestParserTest.encode(List.of("INCR", "a")),
                        RequestParserTest.encode(List.of("MULTI")),
                        RequestParserTest.encode(List.of("GET", "a")),
                        RequestParserTest.encode(List.of("EXEC")),
                        RequestParserTest.encode(List.of("CLIENT", "GETNAME")),
                        RequestParserTest.encode(List.of("RANDOMKEY")),
                        RequestParserTest.encode(List.of("FLUSHALL")),
                        RequestParserTest.encode(List.of("RANDOMKEY")),
                        RequestParserTest.encode(List.of("OBJECT", "ENCODING", "none")),
                        RequestParserTest.encode(List.of("MEMORY", "USAGE", "none")),
                        RequestParserTest.encode(List.of("RESET")),
                        RequestParserTest.encode(List.of("GET", "none"))),
                new Random(1),
                3);
    }

    @Test
    void repliesAboutTheServerAreEqual() throws IOException {
        List<String> requests = Stream.of(
                        "COMMAND GETKEYS MSET a 1 b 2",
                        "COMMAND GETKEYS MSET a 1 b",
                        "COMMAND GETKEYS MGET a b c",
                        "COMMAND GETKEYS RENAME a b",
                        "COMMAND GETKEYS RENAME a",
                        "COMMAND GETKEYS SET a 1 EX 10",
                        "COMMAND GETKEYS PING a",
                        "COMMAND GETKEYS GET a b",
                        "COMMAND GETKEYS GET",
                        "COMMAND GETKEYS NOSUCH a",
                        "COMMAND COUNT x",
                        "COMMAND LIST FILTERBY PATTERN GETEX",
                        "COMMAND LIST FILTERBY PATTERN nosuch*",
                        "COMMAND LIST FILTERBY MODULE x",
                        "COMMAND LIST FILTERBY PATTERN",
                        "COMMAND LIST NOSUCH a b",
                        "COMMAND INFO nosuch",
                        "CONFIG RESETSTAT",
                        "CONFIG RESETSTAT x",
                        "CONFIG REWRITE",
                        "CONFIG REWRITE x",
                        "CONFIG GET",
                        "CONFIG SET a",
                        "CLIENT SETNAME joe",
                        "CLIENT GETNAME",
                        "CLIENT GETNAME x",
                        "CLIENT SETNAME",
                        "CLIENT SETNAME a b",
                        "CLIENT ID x",
                        "CLIENT INFO x",
                        "CLIENT GETREDIR x",
                        "CLIENT NO-EVICT",
                        "CLIENT NO-EVICT on",
                        "CLIENT NO-EVICT x",
                        "CLIENT LIST x",
                        "CLIENT LIST ID",
                        "CLIENT LIST ID x",
                        "CLIENT LIST ID 999999",
                        "CLIENT LIST TYPE",
                        "CLIENT LIST TYPE x",
                        "CLIENT LIST TYPE replica",
                        "OBJECT ENCODING",
                        "OBJECT ENCODING a b",
                        "OBJECT FREQ none",
                        "MEMORY USAGE",
                        "MEMORY USAGE none",
                        "MEMORY USAGE none x",
                        "MEMORY USAGE none SAMPLES",
                        "MEMORY USAGE none SAMPLES x",
                        "MEMORY USAGE none SAMPLES -1",
                        "MEMORY DOCTOR x")
                .map(line -> line + "\r\n")
                .toList();
        compare(requests, new Random(1));
        compare(requests, new Random(1), 3);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "*-10\r\nPING\r\n",
                "*0\r\nPING\r\n",
                "*01\r\n",
                "*-0\r\n",
                "*\r\n",
                "*x\r\n",
                "*1\r\n$-1\r\n",
                "*1\r\n$01\r\n",
                "*1\r\n$x\r\n",
                "*1\r\n:1\r\n",
                "*1\r\n\u00ff1\r\n",
                "*1\r\n$4\r\nPINGxx",
                "$4\r\nPING\r\n",
                "ECHO \"a\\x41\\n\\q\"\r\n",
                "ECHO 'it\\'s'\r\n",
                "ECHO 'a\\n'\n",
                "ECHO a\"b c\"\r\n",
                "ECHO \"a\"b\r\n",
                "ECHO 'a\r\n",
                "ECHO \"\"\r\n",
                "ECHO \u00e9\u0080\r\n",
                "ECHO \"\\x4\\xzz\"\r\n",
                "ECHO \"\\\"\r\n",
                "ECHO \u000bx\fy\r\n",
                "\r\n\n  \r\nPING\r\n",
            })
    void unusualRequestsAreEqual(String bytes) throws IOException {
        compare(List.of("PING\r\n", bytes), new Random(1));
    }

    private static void compare(List<String> requests, Random random) throws IOException {
        compare(requests, random, 2);
    }

    private static void compare(List<String> requests, Random random, int version) throws IOException {
        byte[] all = String.join("", requests).getBytes(ISO_8859_1);
        List<Integer> cuts = random.ints(random.nextInt(4), 0, all.length + 1)
                .sorted()
                .boxed()
                .collect(Collectors.toList());
        cuts.add(all.length);
        String expected = replies(redisPort, all, cuts, version);
        String actual = replies(running.server.port(), all, cuts, version);
        if (!actual.equals(expected)) {
            List<String> ours = split(actual);
            List<String> theirs = split(expected);
            int same = 0;
            while (same < Math.min(ours.size(), theirs.size()) && ours.get(same).equals(theirs.get(same))) {
                same++;
            }
            assertThat(ours.subList(same, Math.min(same + 1, ours.size())))
                    .as("the reply to the last of %s", requests.subList(0, Math.min(same + 1, requests.size())))
                    .isEqualTo(theirs.subList(same, Math.min(same + 1, theirs.size())));
        }
        assertThat(actual).isEqualTo(expected);
    }

    /** Returns the replies that a text consists of. */
    private static List<String> split(String text) {
        List<String> replies = new ArrayList<>();
        int start = 0;
        while (start < text.length()) {
            int end = end(text, start);
            replies.add(text.substring(start, end));
            start = end;
        }
        return replies;
    }

    /** Returns where the reply ends that begins at a position. */
    private static int end(String text, int start) {
        int end = text.indexOf("\r\n", start) + 2;
        char type = text.charAt(start);
        if ("$=*%~".indexOf(type) < 0) {
            return end;
        }
        int length = Integer.parseInt(text.substring(start + 1, end - 2));
        if (type == '$' || type == '=') {
            return length < 0 ? end : end + length + 2;
        }
        for (int i = type == '%' ? -length : 0; i < length; i++) {
            end = end(text, end);
        }
        return end;
    }

    /** Returns everything that a server sends until it has answered the QUIT at the end. */
    private static String replies(int port, byte[] all, List<Integer> cuts, int version) throws IOException {
        try (RawClient client = new RawClient(port)) {
            client.socket.setTcpNoDelay(true);
            if (version == 3) {
                client.send("HELLO 3\r\n");
                StringBuilder hello = new StringBuilder();
                while (!hello.toString().endsWith("modules\r\n*0\r\n")) {
                    hello.append(client.read(1));
                }
            }
            ByteArrayOutputStream replies = new ByteArrayOutputStream();
            try {
                int from = 0;
                for (int to : cuts) {
                    client.socket.getOutputStream().write(all, from, to - from);
                    from = to;
                }
                client.send("*1\r\n$4\r\nQUIT\r\n");
                client.socket.getInputStream().transferTo(replies);
            } catch (SocketException e) {
                // Redis resets a connection with unread data after a protocol error.
                assertThat(replies.size()).isPositive();
            }
            return replies.toString(ISO_8859_1);
        }
    }

    private static String oneOf(List<String> words, Random random) {
        return words.get(random.nextInt(words.size()));
    }

    private static List<String> command(Random random) {
        String key = oneOf(KEYS, random);
        String word = oneOf(WORDS, random);
        List<String> words = new ArrayList<>();
        switch (random.nextInt(36)) {
            case 0, 1 -> words.addAll(List.of("SET", key, word));
            case 2, 3 -> {
                words.addAll(List.of("SET", key, word));
                for (int i = random.nextInt(4); i > 0; i--) {
                    words.add(oneOf(OPTIONS, random));
                    if (random.nextBoolean()) {
                        words.add(oneOf(List.of("1000", "5000", "0", "-1", "x", "9223372036854775807"), random));
                    }
                }
            }
            case 4 -> words.addAll(List.of("SETEX", key, oneOf(WORDS, random), word));
            case 5 -> words.addAll(List.of("PSETEX", key, oneOf(List.of("100000", "0", "x"), random), word));
            case 6 -> words.addAll(List.of("SETNX", key, word));
            case 7 -> words.addAll(List.of("GET", key));
            case 8 -> words.addAll(List.of("GETSET", key, word));
            case 9 -> words.addAll(List.of("GETDEL", key));
            case 10 -> {
                words.addAll(List.of("GETEX", key));
                for (int i = random.nextInt(3); i > 0; i--) {
                    words.add(oneOf(List.of("EX", "PX", "PERSIST", "EXAT", "1000", "x", "0", "1"), random));
                }
            }
            case 11 -> words.addAll(List.of("APPEND", key, word));
            case 12 -> words.addAll(List.of("STRLEN", key));
            case 13 -> words.addAll(List.of("GETRANGE", key, oneOf(WORDS, random), oneOf(WORDS, random)));
            case 14 ->
                words.addAll(List.of(
                        "SETRANGE",
                        key,
                        oneOf(List.of("0", "1", "5", "-1", "x", "9223372036854775807"), random),
                        word));
            case 15 -> words.addAll(List.of(oneOf(List.of("INCR", "DECR"), random), key));
            case 16 -> words.addAll(List.of(oneOf(List.of("INCRBY", "DECRBY"), random), key, word));
            case 17 -> words.addAll(List.of("INCRBYFLOAT", key, word));
            case 18 -> words.addAll(List.of("MSET", key, word, oneOf(KEYS, random), oneOf(WORDS, random)));
            case 19 -> words.addAll(List.of("MSETNX", key, word, oneOf(KEYS, random), oneOf(WORDS, random)));
            case 20 -> words.addAll(List.of("MGET", key, oneOf(KEYS, random), "none"));
            case 21 ->
                words.addAll(
                        List.of(oneOf(List.of("DEL", "UNLINK", "EXISTS", "TOUCH"), random), key, oneOf(KEYS, random)));
            case 22, 23 -> {
                words.addAll(List.of(
                        oneOf(List.of("EXPIRE", "PEXPIRE"), random),
                        key,
                        oneOf(
                                List.of(
                                        "1000",
                                        "5000000",
                                        "0",
                                        "-1",
                                        "x",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775"),
                                random)));
                for (int i = random.nextInt(3); i > 0; i--) {
                    words.add(oneOf(OPTIONS, random));
                }
            }
            case 24 ->
                words.addAll(List.of(
                        oneOf(List.of("EXPIREAT", "PEXPIREAT"), random),
                        key,
                        oneOf(List.of("99999999999", "1", "-5", "9999999999999", "9223372036854775807"), random)));
            case 25 -> words.addAll(List.of(oneOf(List.of("EXPIRETIME", "PEXPIRETIME"), random), "d" + key));
            case 26 -> words.addAll(List.of("PERSIST", key));
            case 27 -> words.addAll(List.of("TYPE", key));
            case 28 -> words.addAll(List.of(oneOf(List.of("RENAME", "RENAMENX"), random), key, oneOf(KEYS, random)));
            case 29 -> words.addAll(List.of(oneOf(List.of("MULTI", "EXEC", "DISCARD", "UNWATCH"), random)));
            case 30 -> words.addAll(List.of("WATCH", key));
            case 31 -> words.addAll(List.of("SELECT", oneOf(List.of("0", "1", "15", "16", "-1", "x", ""), random)));
            case 32 -> words.addAll(List.of(oneOf(List.of("DBSIZE", "PING", "RANDOMKEY", "KEYS", "NOSUCH"), random)));
            case 33 -> words.addAll(List.of("NOSUCHCOMMAND", word, "x".repeat(random.nextInt(200)), word));
            case 34 -> words.addAll(List.of("OBJECT", "ENCODING", "none" + key));
            default -> {
                words.add(oneOf(List.of("GET", "SET", "TTL", "INCR", "MSET", "EXPIRE", "GETRANGE", "SCAN"), random));
                for (int i = random.nextInt(3); i > 0; i--) {
                    words.add(word);
                }
                if (words.get(0).equals("SCAN") && words.size() == 2 && word.matches("[0-9 +.-].*|")) {
                    words.set(1, "x");
                }
            }
        }
        if (words.get(0).equals("RANDOMKEY")) {
            words.add("too many");
        }
        if (words.get(0).equals("TTL") && words.size() == 2) {
            words.set(1, "none");
        }
        return words;
    }
}
