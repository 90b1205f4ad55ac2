// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

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

/**
 * Soak test of the cache server: little memory, {@code ksmd} scanning as fast as possible, and clients that write,
 * read, delete, let keys expire and disconnect in the middle of a request. Every value that is read is checked.
 */
final class CacheSoak {

    private static final int WRITERS = 3;
    private static final int READERS = 3;
    private static final int KEYS = 600;
    private static final int MEMORY_MIB = 4;
    private static final int HEAP_MIB = 128;
    private static final int DIRECT_MIB = 96;

    /** Memory for code, threads, and the JVM itself. */
    private static final int OTHER_MIB = 192;

    /** What the server prints at the start, with warnings about this machine. */
    private static final Pattern AT_THE_START = Pattern.compile("Ready on |At most |Warning: ");

    private static final Duration POLL_INTERVAL = Duration.ofMillis(500);

    private final SoakValues values = new SoakValues();
    private final List<SoakKey> keys =
            IntStream.range(0, KEYS).mapToObj(i -> new SoakKey()).toList();
    private final AtomicBoolean over = new AtomicBoolean();
    private final LongAdder stored = new LongAdder();
    private final LongAdder read = new LongAdder();
    private final LongAdder gone = new LongAdder();
    private final LongAdder hungUp = new LongAdder();

    /**
     * The counts of a run.
     *
     * @param stored stored values
     * @param read values read, all of them correct
     * @param gone reads of keys that were evicted, deleted or expired
     * @param hungUp connections closed in the middle of a request
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
            long evicted,
            long expired,
            long maxResident,
            long maxMerged) {}

    /** Runs the soak test. The arguments are the root of the repository and the seconds to run (default: 600). */
    public static void main(String[] args) throws Exception {
        long seconds = args.length > 1 ? Long.parseLong(args[1]) : 600;
        RunningKsmd ksmd = RunningKsmd.start();
        try {
            System.out.println(new CacheSoak().run(Duration.ofSeconds(seconds)));
        } finally {
            ksmd.close();
        }
    }

    /**
     * Runs the soak test once. {@code ksmd} must be scanning as fast as possible.
     *
     * @throws WrongValueException if a wrong value was read, something was leaked, or the server has logged a problem
     */
    Result run(Duration time) throws Exception {
        Path directory = Files.createTempDirectory("ksm4j-soak");
        List<String> jvmOptions = List.of(
                "-Xmx" + HEAP_MIB + "m",
                "-XX:MaxDirectMemorySize=" + DIRECT_MIB + "m",
                "-Dio.netty.leakDetection.level=paranoid");
        CacheServerProcess server = CacheServerProcess.sample(
                directory, jvmOptions, "--max-memory", MEMORY_MIB + "m", "--ksmd", "off", "--io-threads", "2");
        Result result;
        try (server) {
            result = run(server, time);
            require(
                    result.maxResident >> 20 < MEMORY_MIB + HEAP_MIB + DIRECT_MIB + OTHER_MIB,
                    "the server uses too much memory",
                    result);
            try (RespClient client = server.connect()) {
                // Netty reports leaked buffers when it allocates new ones.
                client.call("FLUSHALL");
                String info = client.text("INFO");
                require(number(info, "used_memory") == 0, "blocks have leaked", info);
                require(number(info, "value_bytes") == 0, "blocks have leaked", info);
                require(!info.contains("db0:"), "keys are left", info);
            }
        }
        require(
                server.log().lines().allMatch(line -> AT_THE_START.matcher(line).lookingAt()),
                "the server has logged problems",
                server.log());
        try (var files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(directory);
        return result;
    }

    private Result run(CacheServerProcess server, Duration time) throws Exception {
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
        try (ExecutorService executor = Executors.newFixedThreadPool(clients.size())) {
            List<Future<Void>> running = clients.stream().map(executor::submit).toList();
            long maxResident = 0;
            long maxMerged = 0;
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
                return new Result(
                        stored.sum(),
                        read.sum(),
                        gone.sum(),
                        hungUp.sum(),
                        number(stats, "evicted_keys"),
                        number(stats, "expired_keys"),
                        maxResident,
                        maxMerged);
            }
        }
    }

    /** Changes keys. Each writer has its own keys. */
    private Void write(CacheServerProcess server, int writer) throws IOException {
        Random random = new Random();
        try (RespClient client = server.connect()) {
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
        return null;
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
        Object reply = client.call(words.toArray());
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
        Object reply = client.call(
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
        require(client.call("DEL", name(key)) instanceof Long, "not deleted", name(key));
        state.answered(version);
    }

    private void expire(RespClient client, int key, int millis) throws IOException {
        if (Long.valueOf(1).equals(client.call("PEXPIRE", name(key), millis))) {
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

    private static String name(int key) {
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
