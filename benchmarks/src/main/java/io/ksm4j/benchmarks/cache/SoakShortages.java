// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.ksm4j.benchmarks.cache.SoakValues.WrongValueException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * Clients of the soak test that take as much of something as they get, and more than there is. The server may refuse or
 * disconnect them, but what they read must be correct.
 */
final class SoakShortages {

    /** More than {@link #DESCRIPTORS} leaves, and few enough for the queue of the listener. */
    private static final int MANY_CLIENTS = 450;

    /** The file descriptors of the server. */
    static final int DESCRIPTORS = 400;

    private static final int HALF_REQUESTS = 30;
    private static final int HALF_REQUEST_BYTES = 2 << 20;
    private static final int HALF_LINES = 100;
    private static final int HALF_LINE_BYTES = 60 << 10;
    private static final int SLOW_CLIENTS = 20;
    private static final int KEYS_AT_ONCE = 200;
    private static final int SMALL_KEYS = 300_000;
    private static final int SMALL_KEYS_AT_ONCE = 20_000;
    private static final int BATCH = 500;
    private static final long HOLD_MILLIS = 500;
    private static final Duration TIME_TO_ACCEPT = Duration.ofSeconds(30);

    private final CacheServerProcess server;
    private final SoakValues values;
    private final int keys;
    private final Random random = new Random();
    private int nextSmallKey;
    private long disconnected;

    /**
     * Creates clients.
     *
     * @param keys the number of keys that other clients write
     */
    SoakShortages(CacheServerProcess server, SoakValues values, int keys) {
        this.server = server;
        this.values = values;
        this.keys = keys;
    }

    /** {@return how many clients the server has refused or disconnected} */
    long disconnected() {
        return disconnected;
    }

    /** Causes each shortage once. */
    void causeAll() throws IOException, InterruptedException {
        exhaustDescriptors();
        sendHalves(HALF_REQUESTS, client -> client.sendHalf("half", new byte[HALF_REQUEST_BYTES]));
        sendHalves(HALF_LINES, client -> client.sendText("x".repeat(HALF_LINE_BYTES)));
        leaveRepliesUnread();
        fillHeap();
    }

    private void exhaustDescriptors() throws IOException, InterruptedException {
        List<RespClient> clients = new ArrayList<>();
        try {
            for (int i = 0; i < MANY_CLIENTS; i++) {
                RespClient client = server.connect();
                clients.add(client);
                client.send("PING");
                client.flush();
            }
            require("PONG".equals(clients.get(0).read()), "the first client is not served");
            long end = System.nanoTime() + TIME_TO_ACCEPT.toNanos();
            while (server.descriptors() < DESCRIPTORS - 1) {
                require(System.nanoTime() < end, "not all descriptors are used");
                Thread.sleep(HOLD_MILLIS / 10);
            }
            require("PONG".equals(clients.get(0).call("PING")), "the first client is not served");
        } finally {
            closeAll(clients);
        }
        try (RespClient client = server.connect()) {
            require("PONG".equals(client.call("PING")), "no client is accepted any more");
        }
    }

    private interface Half {

        void send(RespClient client) throws IOException;
    }

    private void sendHalves(int count, Half half) throws IOException, InterruptedException {
        List<RespClient> clients = new ArrayList<>();
        try {
            for (int i = 0; i < count; i++) {
                RespClient client = server.connect();
                clients.add(client);
                try {
                    half.send(client);
                } catch (IOException e) {
                    // It was refused and disconnected while it was sending.
                }
            }
            Thread.sleep(HOLD_MILLIS);
            for (RespClient client : clients) {
                disconnected += client.hasReply() ? 1 : 0;
            }
        } finally {
            closeAll(clients);
        }
    }

    private void leaveRepliesUnread() throws IOException, InterruptedException {
        List<RespClient> clients = new ArrayList<>();
        List<int[]> asked = new ArrayList<>();
        try {
            for (int i = 0; i < SLOW_CLIENTS; i++) {
                RespClient client = server.connect();
                clients.add(client);
                int[] some = random.ints(KEYS_AT_ONCE, 0, keys).toArray();
                asked.add(some);
                client.send(words("MGET", some));
                for (int key : some) {
                    client.send("GET", CacheSoak.name(key));
                }
                client.flush();
            }
            Thread.sleep(HOLD_MILLIS);
            for (int i = 0; i < SLOW_CLIENTS; i++) {
                try {
                    readLate(clients.get(i), asked.get(i));
                } catch (IOException e) {
                    disconnected++;
                }
            }
        } finally {
            closeAll(clients);
        }
    }

    private void readLate(RespClient client, int[] asked) throws IOException {
        Object all = client.read();
        require(all instanceof List<?> list && list.size() == asked.length, "not the reply of MGET");
        for (int i = 0; i < asked.length; i++) {
            check(asked[i], ((List<?>) all).get(i));
        }
        for (int key : asked) {
            check(key, client.read());
        }
    }

    private void check(int key, @Nullable Object reply) {
        if (reply instanceof byte[] value) {
            values.version(key, value);
        } else {
            require(reply == null, "not a value: " + reply);
        }
    }

    private static Object[] words(String command, int[] asked) {
        List<Object> words = new ArrayList<>();
        words.add(command);
        Arrays.stream(asked).mapToObj(CacheSoak::name).forEach(words::add);
        return words.toArray();
    }

    /** Stores small values, whose keys need more of the heap than there is. */
    private void fillHeap() throws IOException {
        try (RespClient client = server.connect()) {
            for (int stored = 0; stored < SMALL_KEYS_AT_ONCE; stored += BATCH) {
                int first = nextSmallKey;
                nextSmallKey = (nextSmallKey + BATCH) % SMALL_KEYS;
                for (int i = first; i < first + BATCH; i++) {
                    client.send("SET", "small:" + i, "value " + i);
                }
                for (int i = first; i < first + BATCH; i++) {
                    client.expectOk();
                }
                for (int i = first; i < first + BATCH; i++) {
                    client.send("GET", "small:" + i);
                }
                for (int i = first; i < first + BATCH; i++) {
                    Object reply = client.read();
                    require(
                            reply == null
                                    || (reply instanceof byte[] value && new String(value, UTF_8).equals("value " + i)),
                            "small:" + i + " has another value");
                }
            }
        }
    }

    static void closeAll(List<RespClient> clients) throws IOException {
        for (RespClient client : clients) {
            client.close();
        }
    }

    private static void require(boolean condition, String problem) {
        if (!condition) {
            throw new WrongValueException(problem);
        }
    }
}
