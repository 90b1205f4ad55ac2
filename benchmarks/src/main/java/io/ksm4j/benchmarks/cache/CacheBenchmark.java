// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.benchmarks.GeneratedSection;
import io.ksm4j.benchmarks.Machine;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.RunningKsmd;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Compares the throughput of the cache server with that of the distribution's Redis, using {@code redis-benchmark}, and
 * measures the memory of the cache server with one tenant and with eight. Writes the tables of
 * {@code docs/cache-server.md}.
 *
 * <p>All three servers run at the same time and are measured one after the other. {@code ksmd} is stopped while a
 * server without merging is measured, so that merging costs only the server whose pages it merges.
 */
final class CacheBenchmark {

    private static final KsmSettings STOPPED = KsmSettings.EMPTY.with(KsmSetting.RUN, 0);

    /** The kernel's defaults. The cache server changes these settings itself. */
    private static final KsmSettings DEFAULTS =
            STOPPED.with(KsmSetting.PAGES_TO_SCAN, 100).with(KsmSetting.SLEEP_MILLISECS, 20);

    private static final int TENANTS = 8;
    private static final Duration POLL_INTERVAL = Duration.ofMillis(1100);
    private static final Duration TIMEOUT = Duration.ofMinutes(2);
    private static final Pattern RATE = Pattern.compile("(?m)^\"[SG]ET\",\"([0-9.]+)\"");

    private final Path directory;

    /** The approximate duration of each run of {@code redis-benchmark}. */
    private final double seconds;

    CacheBenchmark(Path directory, double seconds) {
        this.directory = directory;
        this.seconds = seconds;
    }

    /** Measures everything and updates the page. The argument is the root of the repository. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        String missing = missing();
        if (!missing.isEmpty()) {
            System.err.println("benchmarks/run cache: " + missing);
            System.exit(1);
        }
        Path directory = Files.createTempDirectory("ksm4j-cache");
        CacheReport report;
        RunningKsmd lock = RunningKsmd.start();
        try {
            CacheBenchmark cache = new CacheBenchmark(directory, 0.7);
            Map<CacheCase, List<CacheReport.Round>> rounds = cache.throughput(CacheCase.ALL, 5);
            report = cache.withMemory(rounds, 10_000, 1_000);
        } finally {
            lock.close();
            delete(directory);
        }
        String text = "Measured on " + Machine.describe() + ".\n\n" + report.text();
        System.out.print(text);
        GeneratedSection section = new GeneratedSection(Path.of("docs", "cache-server.md"), "cache");
        Files.writeString(root.resolve(section.page()), section.replaced(root, text));
    }

    /** Returns which program must be installed first, or an empty string. */
    static String missing() {
        for (String program : List.of("redis-server", "redis-benchmark")) {
            if (Stream.of(System.getenv("PATH").split(File.pathSeparator, -1))
                    .noneMatch(entry -> Files.isExecutable(Path.of(entry, program)))) {
                return program + " is not installed: apt-get install redis-server redis-tools";
            }
        }
        return "";
    }

    private static void delete(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(directory);
    }

    /** Runs the rounds after a warm-up round that is not counted. */
    Map<CacheCase, List<CacheReport.Round>> throughput(List<CacheCase> cases, int rounds) throws Exception {
        Map<CacheCase, List<CacheReport.Round>> measured = new LinkedHashMap<>();
        Map<CacheCase, Integer> requests = new LinkedHashMap<>();
        KsmSession session = KsmDaemon.system().borrow(DEFAULTS);
        try (CacheServerProcess redis = CacheServerProcess.redis(directory);
                CacheServerProcess off = CacheServerProcess.sample(directory, List.of(), "--merge", "off");
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
        return measured;
    }

    private CacheReport.Round measureRound(
            CacheCase which,
            int requests,
            boolean backwards,
            CacheServerProcess redis,
            CacheServerProcess off,
            CacheServerProcess on)
            throws Exception {
        double onFirst = backwards ? ask(which, on, requests) : 0;
        double redisRate;
        double offRate;
        KsmSession stopped = KsmDaemon.system().borrow(STOPPED);
        try {
            offRate = backwards ? ask(which, off, requests) : 0;
            redisRate = ask(which, redis, requests);
            if (!backwards) {
                offRate = ask(which, off, requests);
            }
        } finally {
            stopped.close();
        }
        return new CacheReport.Round(redisRate, offRate, backwards ? onFirst : ask(which, on, requests));
    }

    /** Returns how many requests take about {@link #seconds}. */
    private int warmUp(CacheCase which, CacheServerProcess redis) throws Exception {
        double rate = ask(which, redis, 2_000);
        return (int) Math.max(1_000, rate * seconds);
    }

    /** Stores each value under two keys. */
    private void fill(CacheServerProcess server, List<CacheCase> cases) throws IOException {
        for (CacheCase which : cases.stream()
                .filter(each -> each.pipeline() == 1 && each.clients() == 1)
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
            for (int key = 0; key < keys; key++) {
                if (key % 2 == 0) {
                    random.nextBytes(value);
                }
                Object reply = client.call("SET", String.format("key:%012d", key), value);
                if (!"OK".equals(reply)) {
                    throw new IOException("not stored: " + reply);
                }
            }
        }
    }

    /** Runs {@code redis-benchmark} and returns the requests per second. */
    private double ask(CacheCase which, CacheServerProcess server, int requests) throws Exception {
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
                        Integer.toString(which.valueBytes()),
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
            Matcher rate = RATE.matcher(text);
            if (status != 0 || !rate.find()) {
                throw new IOException(child + " ended with " + status + ":\n" + text + server.log());
            }
            return Double.parseDouble(rate.group(1));
        }
    }

    /**
     * Measures memory when each tenant stores the same {@code small} values of 4 KiB and {@code large} values of 64
     * KiB.
     */
    CacheReport withMemory(Map<CacheCase, List<CacheReport.Round>> rounds, int small, int large) throws Exception {
        long dataBytes = ((long) small * 4 + (long) large * 64) << 10;
        KsmSession session = KsmDaemon.system().borrow(DEFAULTS);
        try (CacheServerProcess server = CacheServerProcess.sample(directory, List.of(), "--max-memory", "4g")) {
            System.out.println("Memory");
            load(server, 0, small, large);
            CacheReport.Memory one = awaitSettled(server, 0);
            for (int tenant = 1; tenant < TENANTS; tenant++) {
                load(server, tenant, small, large);
            }
            return new CacheReport(rounds, one, awaitSettled(server, dataBytes * (TENANTS - 1)));
        } finally {
            session.close();
        }
    }

    private static void load(CacheServerProcess server, int tenant, int small, int large) throws IOException {
        try (RespClient client = server.connect()) {
            client.call("SELECT", tenant);
            Random random = new Random(1);
            for (int key = 0; key < small + large; key++) {
                byte[] value = new byte[key < small ? 4 << 10 : 64 << 10];
                random.nextBytes(value);
                Object reply = client.call("SET", "item:" + key, value);
                if (!"OK".equals(reply)) {
                    throw new IOException("not stored: " + reply);
                }
            }
        }
    }

    /**
     * Waits until 99 % of the savable bytes are saved and the resident size no longer changes, or until the timeout,
     * and returns the memory in use.
     */
    private static CacheReport.Memory awaitSettled(CacheServerProcess server, long savable) throws Exception {
        long end = System.nanoTime() + TIMEOUT.toNanos();
        try (RespClient client = server.connect()) {
            long resident = -1;
            long before;
            do {
                before = resident;
                // INFO's numbers are at most a second old, except for the first time.
                Thread.sleep(POLL_INTERVAL);
                resident = number(client, "resident_bytes");
            } while ((resident != before || number(client, "saved_bytes") < savable * 0.99) && System.nanoTime() < end);
            return new CacheReport.Memory(resident, server.bytes("smaps_rollup", "Pss"));
        }
    }

    private static long number(RespClient client, String field) throws IOException {
        return client.text("INFO", "ksm")
                .lines()
                .filter(line -> line.startsWith(field + ":"))
                .mapToLong(line -> Long.parseLong(line.substring(field.length() + 1)))
                .findFirst()
                .orElseThrow(() -> new IOException("INFO has no " + field));
    }
}
