// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Compares the throughput of the cache server with that of the distribution's Redis, using {@code redis-benchmark}.
 *
 * <p>All three servers run at the same time and are measured one after the other. {@code ksmd} is stopped while a
 * server without sharing is measured, so that merging costs only the server whose pages it merges.
 *
 * @param directory for files
 * @param seconds the approximate duration of each run of {@code redis-benchmark}
 */
record ThroughputBenchmark(Path directory, double seconds) {

    /** The columns are the name, requests per second, and the average, least, 50, 95, 99 % and greatest latency. */
    private static final Pattern ROW = Pattern.compile(
            "(?m)^\"(?:SET|GET|INCR|MSET)[^\"]*\",\"(?<rate>[0-9.]+)\"(?:,\"[0-9.]+\"){4},\"(?<latency>[0-9.]+)\"");

    /** The number of requests that are sent before a reply is read. */
    private static final int BATCH = 100;

    /** Runs the rounds after a warm-up round that is not counted. */
    Throughput measure(List<CacheCase> cases, int rounds) throws Exception {
        Map<CacheCase, List<Throughput.Round>> measured = new LinkedHashMap<>();
        Map<CacheCase, Integer> requests = new LinkedHashMap<>();
        KsmSession session = KsmDaemon.system().borrow(CacheBenchmark.DEFAULTS);
        try (CacheServerProcess redis = CacheServerProcess.redis(directory);
                CacheServerProcess off =
                        CacheServerProcess.sample(directory, List.of(), "--merge", "off", "--dedup", "off");
                CacheServerProcess on = CacheServerProcess.sample(directory, List.of())) {
            for (CacheServerProcess server : List.of(redis, off, on)) {
                fill(server, cases);
            }
            for (CacheCase which : cases) {
                measured.put(which, new ArrayList<>());
                requests.put(which, warmUp(which, redis));
                ask(which, off, requests.get(which));
                ask(which, on, requests.get(which));
            }
            for (int round = 1; round <= rounds; round++) {
                System.out.println("Round " + round + " of " + rounds);
                for (CacheCase which : cases) {
                    measured.get(which).add(measureRound(which, requests.get(which), round % 2 == 0, redis, off, on));
                }
            }
        } finally {
            session.close();
        }
        return new Throughput(measured);
    }

    private Throughput.Round measureRound(
            CacheCase which,
            int requests,
            boolean backwards,
            CacheServerProcess redis,
            CacheServerProcess off,
            CacheServerProcess on)
            throws Exception {
        Throughput.Run onRun = backwards ? ask(which, on, requests) : Throughput.Run.NONE;
        Throughput.Run offRun;
        Throughput.Run redisRun;
        KsmSession stopped = KsmDaemon.system().borrow(KsmSettings.EMPTY.with(KsmSetting.RUN, 0));
        try {
            offRun = backwards ? ask(which, off, requests) : Throughput.Run.NONE;
            redisRun = ask(which, redis, requests);
            if (!backwards) {
                offRun = ask(which, off, requests);
            }
        } finally {
            stopped.close();
        }
        return new Throughput.Round(redisRun, offRun, backwards ? onRun : ask(which, on, requests));
    }

    /** Returns how many requests take about {@link #seconds}. */
    private int warmUp(CacheCase which, CacheServerProcess redis) throws Exception {
        double rate = ask(which, redis, 2_000).rate();
        return (int) Math.max(1_000, rate * seconds);
    }

    /** Stores each value under two keys. */
    private static void fill(CacheServerProcess server, List<CacheCase> cases) throws IOException {
        for (CacheCase which : cases.stream()
                .filter(each -> each.isFilledBefore() && each.pipeline() == 1 && each.clients() == 1)
                .toList()) {
            fill(server, which.database(), which.keys(), which.valueBytes());
        }
    }

    /** Uses the key names of {@code redis-benchmark}. */
    private static void fill(CacheServerProcess server, int database, int keys, int valueBytes) throws IOException {
        try (RespClient client = server.connect()) {
            client.call("SELECT", database);
            Random random = new Random(valueBytes);
            byte[] value = new byte[valueBytes];
            for (int first = 0; first < keys; first += BATCH) {
                for (int key = first; key < first + BATCH; key++) {
                    if (key % 2 == 0) {
                        random.nextBytes(value);
                    }
                    client.send("SET", String.format("key:%012d", key), value);
                }
                for (int i = 0; i < BATCH; i++) {
                    client.expectOk();
                }
            }
        }
    }

    /** Runs {@code redis-benchmark}. */
    private Throughput.Run ask(CacheCase which, CacheServerProcess server, int requests) throws Exception {
        Path output = directory.resolve("redis-benchmark.csv");
        ProcessBuilder builder = new ProcessBuilder(
                        "redis-benchmark",
                        "-p",
                        Integer.toString(server.port()),
                        "--dbnum",
                        Integer.toString(which.database()),
                        "-t",
                        which.command().toLowerCase(Locale.ROOT),
                        "-d",
                        Integer.toString(Math.max(1, which.valueBytes())),
                        "-r",
                        Integer.toString(which.keys()),
                        "-c",
                        Integer.toString(which.clients()),
                        "-P",
                        Integer.toString(which.pipeline()),
                        "-n",
                        Integer.toString(requests),
                        "--csv")
                .redirectErrorStream(true)
                .redirectOutput(output.toFile());
        try (ChildProcess child = ChildProcess.start(builder)) {
            int status = child.process().waitFor();
            String text = Files.readString(output, StandardCharsets.UTF_8);
            Matcher row = ROW.matcher(text);
            if (status != 0 || !row.find()) {
                throw new IOException(child + " ended with " + status + ":\n" + text + server.log());
            }
            return new Throughput.Run(Double.parseDouble(row.group("rate")), Double.parseDouble(row.group("latency")));
        }
    }
}
