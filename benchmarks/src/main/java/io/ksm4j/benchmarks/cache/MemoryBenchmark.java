// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.Target;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Random;

/**
 * Measures the memory of the cache server with one tenant and with eight that store the same data, how many reads eight
 * tenants find if their data fits only once, and the memory for small values, compared with Redis.
 *
 * @param directory for files
 * @param scale the share of the data that is stored; 1 for the numbers of the page
 * @param rounds the number of processes of the cache server for each size of values
 * @param settleMillis how long the memory of a process must not change before it counts
 */
record MemoryBenchmark(Path directory, double scale, int rounds, long settleMillis) {

    private static final int TENANTS = 8;
    private static final List<Integer> VALUE_BYTES = List.of(64, 256, 1 << 10, 4 << 10);
    private static final double[] GOALS = {1.3, 1.2, 1.1, 1.05};

    private static final int WARM_UP_ROUNDS = 1000;
    private static final int MAX_SAMPLES = 4;

    /** Changes up to this number of bytes are not waited for. */
    private static final long MAX_CHANGE = 1 << 20;

    /** INFO's numbers are at most a second old. */
    private static final long SAMPLE_MILLIS = 1100;

    /**
     * The memory of a server in bytes. Merged pages count once.
     *
     * @param values the pages of its pools
     * @param process the whole process
     */
    record Memory(double values, double process) {}

    /** The memory of a process before and after it has stored values, in bytes. */
    record Growth(double empty, double filled) {

        double bytes() {
            return filled - empty;
        }

        String text() {
            return String.format(
                    Locale.ROOT, "%.1f - %.1f = %.1f MiB", mebibytes(filled), mebibytes(empty), mebibytes(bytes()));
        }
    }

    /** The growth of two processes with the same values. */
    record Growths(int valueBytes, Growth redis, Growth sample) {}

    ReportPart measure() throws Exception {
        KsmSession session = KsmDaemon.system().borrow(CacheBenchmark.DEFAULTS);
        try {
            Memory one;
            Memory eight;
            try (CacheServerProcess server = CacheServerProcess.sample(directory, List.of(), "--max-memory", "4g")) {
                loadTenant(server, 0);
                one = memory(server);
                for (int tenant = 1; tenant < TENANTS; tenant++) {
                    loadTenant(server, tenant);
                }
                eight = memory(server);
            }
            double hits = hits();
            List<Growths> growths = new ArrayList<>();
            for (int valueBytes : VALUE_BYTES) {
                growths.add(growths(valueBytes));
            }
            return report(one, eight, hits, growths);
        } finally {
            session.close();
        }
    }

    private int scaled(int count) {
        return (int) Math.max(1, count * scale);
    }

    /** Stores 10,000 values of 4 KiB and 1,000 of 64 KiB, the same for each tenant. */
    private void loadTenant(CacheServerProcess server, int tenant) throws IOException {
        Random random = new Random(1);
        server.store(tenant, "small:", scaled(10_000), 4 << 10, random);
        server.store(tenant, "large:", scaled(1_000), 64 << 10, random);
    }

    private static Memory memory(CacheServerProcess server) throws Exception {
        try (RespClient client = server.connect()) {
            // This starts reading new numbers, and returns the last ones.
            client.info("ksm", "resident_bytes");
            Thread.sleep(SAMPLE_MILLIS);
            return new Memory(client.info("ksm", "resident_bytes"), server.bytes("smaps_rollup", "Pss"));
        }
    }

    /** Returns the share of hits when eight tenants read the same 16 MiB each from a cache of 32 MiB. */
    private double hits() throws Exception {
        int keys = scaled(4096);
        String memory = Math.max(1, Math.round(32 * scale)) + "m";
        try (CacheServerProcess server = CacheServerProcess.sample(directory, List.of(), "--max-memory", memory)) {
            for (int tenant = 0; tenant < TENANTS; tenant++) {
                server.store(tenant, "key:", keys, 4 << 10, new Random(1));
            }
            try (RespClient client = server.connect()) {
                Random random = new Random(2);
                for (int i = 0; i < 2 * TENANTS * keys; i++) {
                    client.call("SELECT", random.nextInt(TENANTS));
                    client.call("GET", "key:" + random.nextInt(keys));
                }
                long hits = client.info("stats", "keyspace_hits");
                return hits / (double) (hits + client.info("stats", "keyspace_misses"));
            }
        }
    }

    /** Measures by how much both servers grow when they store 100,000 different values. */
    private Growths growths(int valueBytes) throws Exception {
        Growth redisGrowth;
        try (CacheServerProcess redis = CacheServerProcess.redis(directory)) {
            redisGrowth = growth(redis, valueBytes);
        }
        // The JVM's own memory differs by some MiB from one process to the next.
        List<Growth> growths = new ArrayList<>();
        for (int round = 0; round < rounds; round++) {
            try (CacheServerProcess sample = CacheServerProcess.sample(directory, List.of(), "--max-memory", "2g")) {
                growths.add(growth(sample, valueBytes));
            }
        }
        growths.sort(Comparator.comparingDouble(Growth::bytes));
        return new Growths(valueBytes, redisGrowth, growths.get(rounds / 2));
    }

    private Growth growth(CacheServerProcess server, int valueBytes) throws Exception {
        Random random = new Random(valueBytes);
        // Code that runs is compiled before and after.
        for (int i = 0; i < scaled(WARM_UP_ROUNDS); i++) {
            server.store(0, "warm-up:", scaled(100), valueBytes, random);
        }
        long empty = settled(server);
        server.store(0, "key:", scaled(100_000), valueBytes, random);
        return new Growth(empty, settled(server));
    }

    /** Returns the memory of a process as soon as it no longer changes. */
    private long settled(CacheServerProcess server) throws Exception {
        long before = 0;
        long now = server.bytes("smaps_rollup", "Pss");
        for (int i = 0; i < MAX_SAMPLES && Math.abs(now - before) > MAX_CHANGE; i++) {
            Thread.sleep(settleMillis);
            before = now;
            now = server.bytes("smaps_rollup", "Pss");
        }
        return now;
    }

    static ReportPart report(Memory one, Memory eight, double hits, List<Growths> growths) {
        List<Target> targets = new ArrayList<>();
        StringBuilder table = new StringBuilder(String.format(
                Locale.ROOT,
                """
                | Memory right after loading | one tenant | eight tenants with the same data |
                | --- | --- | --- |
                | values | %.1f MiB | %.1f MiB |
                | whole process | %.1f MiB | %.1f MiB |

                Eight tenants with the same 16 MiB in a cache of 32 MiB: %.2f %% of all reads are hits.

                | Memory for 100,000 values, whole process less the empty one | Redis | cache server |
                | --- | --- | --- |
                """,
                mebibytes(one.values),
                mebibytes(eight.values),
                mebibytes(one.process),
                mebibytes(eight.process),
                hits * 100));
        targets.add(Target.maximum("cache.eight-tenants-memory", eight.values / one.values, 1.02));
        targets.add(Target.maximum("cache.eight-tenants-process-memory", eight.process / one.process, 1.1));
        targets.add(Target.minimum("cache.eight-tenants-hits", hits, 0.99));
        for (int i = 0; i < growths.size(); i++) {
            Growths growth = growths.get(i);
            table.append(String.format(
                    Locale.ROOT, "| %d B | %s | %s |%n", growth.valueBytes, growth.redis.text(), growth.sample.text()));
            targets.add(Target.maximum(
                    "cache.memory-" + growth.valueBytes, growth.sample.bytes() / growth.redis.bytes(), GOALS[i]));
        }
        return new ReportPart(table.toString(), targets);
    }

    private static double mebibytes(double bytes) {
        return bytes / (1 << 20);
    }
}
