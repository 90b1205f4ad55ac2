// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.cache.RespClient.ErrorReply;
import io.ksm4j.benchmarks.cache.SoakValues.WrongValueException;
import io.ksm4j.junit.RunningKsmd;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Soak test of the cache server: {@code ksmd} scanning as fast as possible, and clients that write, read, delete, let
 * keys expire and disconnect in the middle of a request, while others cause one shortage after the other. Every value
 * that is read is checked.
 */
final class CacheSoak {

    private static final int WRITERS = 3;
    private static final int READERS = 3;
    private static final int KEYS = 600;

    /** Of two servers, one after the other: values do not fit the first, and the keys of small values the second. */
    private static final List<Integer> MEMORY_MIB = List.of(4, 64);

    private static final int HEAP_MIB = 48;
    private static final int DIRECT_MIB = 48;

    /** So many are as much as incomplete requests may take together, less a little. */
    private static final int LARGE_REQUESTS = 7;

    private static final int LARGE_REQUEST_BYTES = 3 << 20;

    /** Memory for code, threads, and the JVM itself. */
    private static final int OTHER_MIB = 192;

    /** What the server never logs, whatever is short: errors, leaks, and classes that could not be loaded. */
    private static final Pattern PROBLEM = Pattern.compile("SEVERE|LEAK|OutOf|NoClassDefFound|StackOverflow");

    private static final String REFUSED = "ERR Protocol error: too many incomplete requests";

    private static final Duration TIME_TO_CLOSE = Duration.ofSeconds(30);
    private static final Duration POLL_INTERVAL = Duration.ofMillis(500);

    private final SoakValues values = new SoakValues();
    private final List<SoakKey> keys =
            IntStream.range(0, KEYS).mapToObj(i -> new SoakKey()).toList();
    private final AtomicBoolean over = new AtomicBoolean();
    private final LongAdder stored = new LongAdder();
    private final LongAdder read = new LongAdder();
    private final LongAdder gone = new LongAdder();
    private final LongAdder hungUp = new LongAdder();
    private final LongAdder refused = new LongAdder();
    private final LongAdder shortages = new LongAdder();
    private final LongAdder disconnected = new LongAdder();
    private long evicted;
    private long expired;
    private long maxResident;
    private long maxMerged;

    /**
     * The counts of a run.
     *
     * @param stored stored values
     * @param read values read, all of them correct
     * @param gone reads of keys that were evicted, deleted or expired
     * @param hungUp connections closed in the middle of a request
     * @param refused writers that were refused because others had sent too many halves of requests
     * @param shortages how many times each shortage was caused
     * @param disconnected clients that were refused or disconnected because they caused a shortage
     * @param evicted evicted keys, as reported by the server
     * @param expired expired keys, as reported by the server
     * @param maxResident maximum resident bytes of the server
     * @param maxMerged maximum merged pages of the server
     */
    record Result(
            long stored,
            long read,
            long gone,
            long hungUp,
            long refused,
            long shortages,
            long disconnected,
            long evicted,
            long expired,
            long maxResident,
            long maxMerged) {}

    /** Runs the soak test. The arguments are the root of the repository and the seconds to run (default: 1200). */
    public static void main(String[] args) throws Exception {
        long seconds = args.length > 1 ? Long.parseLong(args[1]) : 1200;
        RunningKsmd ksmd = RunningKsmd.start();
        try {
            System.out.println(new CacheSoak().run(Duration.ofSeconds(seconds)));
        } finally {
            ksmd.close();
        }
    }

    /**
     * Runs the soak test once, with two servers. {@code ksmd} must be scanning as fast as possible.
     *
     * @throws WrongValueException if a wrong value was read, something was leaked, or the server has logged a problem
     */
    Result run(Duration time) throws Exception {
        for (int memoryMib : MEMORY_MIB) {
            runServer(memoryMib, time.dividedBy(MEMORY_MIB.size()));
        }
        return new Result(
                stored.sum(),
                read.sum(),
                gone.sum(),
                hungUp.sum(),
                refused.sum(),
                shortages.sum(),
                disconnected.sum(),
                evicted,
                expired,
                maxResident,
                maxMerged);
    }

    private void runServer(int memoryMib, Duration time) throws Exception {
        Path directory = Files.createTempDirectory("ksm4j-soak");
        List<String> jvmOptions = List.of(
                "-Xmx" + HEAP_MIB + "m",
                "-XX:MaxDirectMemorySize=" + DIRECT_MIB + "m",
                "-Dio.netty.leakDetection.level=paranoid");
        CacheServerProcess server = CacheServerProcess.sample(
                directory,
                SoakShortages.DESCRIPTORS,
                jvmOptions,
                "--max-memory",
                memoryMib + "m",
                "--max-clients",
                "10000",
                "--ksmd",
                "off",
                "--io-threads",
                "2");
        try (server) {
            long descriptors = server.descriptors();
            run(server, time);
            awaitDescriptors(server, descriptors);
            require(
                    maxResident >> 20 < memoryMib + HEAP_MIB + DIRECT_MIB + OTHER_MIB,
                    "the server uses too much memory",
                    maxResident);
            try (RespClient client = server.connect()) {
                // Netty reports leaked buffers when it allocates new ones.
                client.call("FLUSHALL");
                String info = client.text("INFO");
                require(number(info, "used_memory") == 0, "blocks have leaked", info);
                require(number(info, "value_bytes") == 0, "blocks have leaked", info);
                require(!info.contains("db0:"), "keys are left", info);
            }
            storeLargeValues(server);
        }
        require(!PROBLEM.matcher(server.log()).find(), "the server has logged problems", server.log());
        try (var files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(directory);
    }

    private static void awaitDescriptors(CacheServerProcess server, long atTheStart) throws Exception {
        long end = System.nanoTime() + TIME_TO_CLOSE.toNanos();
        while (server.descriptors() > atTheStart) {
            require(System.nanoTime() < end, "descriptors have leaked", server.descriptors() - atTheStart);
            Thread.sleep(POLL_INTERVAL);
        }
    }

    /** Sends requests that are accepted only if all earlier incomplete requests have been given back. */
    private static void storeLargeValues(CacheServerProcess server) throws IOException {
        byte[] value = new byte[LARGE_REQUEST_BYTES];
        List<RespClient> clients = new ArrayList<>();
        try {
            for (int i = 0; i < LARGE_REQUESTS; i++) {
                RespClient client = server.connect();
                clients.add(client);
                client.sendHalf("large", value);
            }
            for (RespClient client : clients) {
                client.sendSecondHalf(value);
                client.expectOk();
            }
        } finally {
            SoakShortages.closeAll(clients);
        }
    }

    private void run(CacheServerProcess server, Duration time) throws Exception {
        over.set(false);
        List<Callable<Void>> clients = new ArrayList<>();
        for (int i = 0; i < WRITERS; i++) {
            int writer = i;
            clients.add(() -> write(server, writer));
        }
        for (int i = 0; i < READERS; i++) {
            int reader = i;
            clients.add(() -> read(server, reader));
        }
        clients.add(() -> hangUp(server));
        clients.add(() -> causeShortages(server));
        try (ExecutorService executor = Executors.newFixedThreadPool(clients.size())) {
            List<Future<Void>> running = clients.stream().map(executor::submit).toList();
            try {
                long end = System.nanoTime() + time.toNanos();
                while (System.nanoTime() < end && running.stream().noneMatch(Future::isDone)) {
                    maxResident = Math.max(maxResident, server.bytes("status", "VmRSS"));
                    maxMerged = Math.max(maxMerged, server.mergedPages());
                    Thread.sleep(POLL_INTERVAL);
                }
            } finally {
                over.set(true);
            }
            for (Future<Void> client : running) {
                client.get(60, TimeUnit.SECONDS);
            }
            try (RespClient client = server.connect()) {
                String stats = client.text("INFO");
                evicted += number(stats, "evicted_keys");
                expired += number(stats, "expired_keys");
            }
        }
    }

    /** Changes keys. Each writer has its own keys. */
    private Void write(CacheServerProcess server, int writer) throws IOException {
        while (!over.get()) {
            try (RespClient client = server.connect()) {
                write(client, writer);
            } catch (RefusedException e) {
                refused.increment();
            }
        }
        return null;
    }

    /** The server has no memory for the first half of a request. */
    private static final class RefusedException extends RuntimeException {

        private static final long serialVersionUID = 1;
    }

    private static @Nullable Object reply(RespClient client, Object... words) throws IOException {
        Object reply = client.call(words);
        if (reply instanceof ErrorReply error && error.message().equals(REFUSED)) {
            throw new RefusedException();
        }
        return reply;
    }

    private void write(RespClient client, int writer) throws IOException {
        Random random = new Random();
        while (!over.get()) {
            int key = random.nextInt(KEYS / WRITERS) * WRITERS + writer;
            switch (random.nextInt(10)) {
                case 0 -> delete(client, key);
                case 1 -> expire(client, key, 1 + random.nextInt(200));
                case 2 -> store(client, key, random, "PX", 1 + random.nextInt(500));
                case 3 -> store(client, key, random, "NX");
                case 4 -> store(client, key, random, "XX");
                case 5 -> storeTwo(client, key, (key + WRITERS) % KEYS, random);
                default -> store(client, key, random);
            }
        }
    }

    private static int length(Random random) {
        // Most values are small; some end exactly at a page boundary, and some one byte after it.
        return switch (random.nextInt(4)) {
            case 0 -> 16 + random.nextInt(4 << 10);
            case 1 -> (4 << 10) * (1 + random.nextInt(4));
            case 2 -> (4 << 10) * (1 + random.nextInt(4)) + 1;
            default -> 16 + random.nextInt(SoakValues.MAX_BYTES - 15);
        };
    }

    private void store(RespClient client, int key, Random random, Object... options) throws IOException {
        SoakKey state = keys.get(key);
        long version = state.send();
        List<Object> words = new ArrayList<>(List.of("SET", name(key), values.value(key, version, length(random))));
        words.addAll(List.of(options));
        Object reply = reply(client, words.toArray());
        if ("OK".equals(reply)) {
            state.answered(version);
            if (options.length == 2) {
                state.expiresIn((int) options[1]);
            }
            stored.increment();
        } else {
            require(reply == null && options.length == 1, "not stored", String.valueOf(reply));
        }
    }

    private void storeTwo(RespClient client, int one, int other, Random random) throws IOException {
        long first = keys.get(one).send();
        long second = keys.get(other).send();
        Object reply = reply(
                client,
                "MSET",
                name(one),
                values.value(one, first, length(random)),
                name(other),
                values.value(other, second, length(random)));
        require("OK".equals(reply), "not stored", String.valueOf(reply));
        keys.get(one).answered(first);
        keys.get(other).answered(second);
        stored.add(2);
    }

    private void delete(RespClient client, int key) throws IOException {
        SoakKey state = keys.get(key);
        long version = state.send();
        require(reply(client, "DEL", name(key)) instanceof Long, "not deleted", name(key));
        state.answered(version);
    }

    private void expire(RespClient client, int key, int millis) throws IOException {
        keys.get(key).sendDeadline();
        if (Long.valueOf(1).equals(reply(client, "PEXPIRE", name(key), millis))) {
            keys.get(key).expiresIn(millis);
        }
    }

    /** Reads keys of all writers, several in one pipeline. */
    private Void read(CacheServerProcess server, int reader) throws IOException {
        Random random = new Random();
        int together = 1 + 4 * reader;
        try (RespClient client = server.connect()) {
            while (!over.get()) {
                int[] asked = random.ints(together, 0, KEYS).toArray();
                long[] oldest = new long[together];
                for (int i = 0; i < together; i++) {
                    oldest[i] = keys.get(asked[i]).oldest();
                    client.send("GET", name(asked[i]));
                }
                for (int i = 0; i < together; i++) {
                    Object reply = client.read();
                    if (reply instanceof byte[] value) {
                        keys.get(asked[i]).check(oldest[i], values.version(asked[i], value));
                        read.increment();
                    } else {
                        require(reply == null, "not read", String.valueOf(reply));
                        gone.increment();
                    }
                }
            }
        }
        return null;
    }

    private Void hangUp(CacheServerProcess server) throws IOException, InterruptedException {
        byte[] value = values.value(0, 0, SoakValues.MAX_BYTES);
        while (!over.get()) {
            try (RespClient client = server.connect()) {
                // No reader uses this key.
                client.sendHalf("half", value);
            }
            hungUp.increment();
            Thread.sleep(10);
        }
        return null;
    }

    private Void causeShortages(CacheServerProcess server) throws IOException, InterruptedException {
        SoakShortages clients = new SoakShortages(server, values, KEYS);
        while (!over.get()) {
            clients.causeAll();
            shortages.increment();
        }
        disconnected.add(clients.disconnected());
        return null;
    }

    static String name(int key) {
        return "soak:" + key;
    }

    private static long number(String info, String field) {
        return info.lines()
                .filter(line -> line.startsWith(field + ":"))
                .mapToLong(line -> Long.parseLong(line.substring(field.length() + 1)))
                .findFirst()
                .orElseThrow(() -> new WrongValueException("INFO has no " + field + ":\n" + info));
    }

    private static void require(boolean condition, String problem, Object what) {
        if (!condition) {
            throw new WrongValueException(problem + ": " + what);
        }
    }
}
