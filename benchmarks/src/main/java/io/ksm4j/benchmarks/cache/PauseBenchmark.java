// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.Target;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Measures how long {@code FLUSHALL} takes and holds up other clients, and how long the server takes to end.
 *
 * @param directory for files
 * @param scale the share of the data that is stored; 1 for the numbers of the page
 */
record PauseBenchmark(Path directory, double scale) {

    private static final int TENANTS = 8;

    /** How long the other client goes on after the reply to {@code FLUSHALL}, while memory is returned. */
    private static final long MILLIS_AFTER_FLUSH = 1000;

    /** Seconds: until the reply to {@code FLUSHALL}, the longest wait of another client, and until the process ends. */
    record Pauses(double flush, double blocked, double end) {}

    ReportPart measure() throws Exception {
        double flush;
        double blocked;
        try (CacheServerProcess server = CacheServerProcess.sample(directory, List.of(), "--max-memory", "4g")) {
            store(server, 0, 4 << 10);
            // The first FLUSHALL also runs code for the first time.
            flush(server);
            store(server, 0, 4 << 10);
            AtomicBoolean over = new AtomicBoolean();
            CountDownLatch started = new CountDownLatch(1);
            ExecutorService executor = Executors.newSingleThreadExecutor();
            try {
                Future<Double> longest = executor.submit(() -> longestWait(server, started, over));
                started.await();
                flush = flush(server);
                Thread.sleep(MILLIS_AFTER_FLUSH);
                over.set(true);
                blocked = longest.get();
            } finally {
                over.set(true);
                executor.shutdown();
            }
        }
        return report(new Pauses(flush, blocked, end()));
    }

    /** Stores 100,000 different values. */
    private void store(CacheServerProcess server, int tenant, int valueBytes) throws IOException {
        server.store(tenant, "key:", (int) Math.max(1, 100_000 * scale), valueBytes, new Random(tenant));
    }

    private static double flush(CacheServerProcess server) throws IOException {
        try (RespClient client = server.connect()) {
            long start = System.nanoTime();
            client.send("FLUSHALL");
            client.expectOk();
            return secondsSince(start);
        }
    }

    /** Returns the longest time that another client waited for a reply. */
    private static double longestWait(CacheServerProcess server, CountDownLatch started, AtomicBoolean over)
            throws IOException {
        double longest = 0;
        try (RespClient client = server.connect()) {
            client.call("SELECT", 1);
            byte[] value = new byte[1000];
            while (!over.get()) {
                long start = System.nanoTime();
                client.send("SET", "other", value);
                client.expectOk();
                started.countDown();
                longest = Math.max(longest, secondsSince(start));
            }
        }
        return longest;
    }

    /** Returns how long a server with 800,000 keys takes to end after SIGTERM. */
    private double end() throws Exception {
        try (CacheServerProcess server = CacheServerProcess.sample(directory, List.of(), "--max-memory", "4g")) {
            for (int tenant = 0; tenant < TENANTS; tenant++) {
                store(server, tenant, 1 << 10);
            }
            long start = System.nanoTime();
            server.terminate();
            return secondsSince(start);
        }
    }

    private static double secondsSince(long start) {
        return (System.nanoTime() - start) / 1e9;
    }

    static ReportPart report(Pauses pauses) {
        return new ReportPart(
                String.format(Locale.ROOT, """
                        | Pause | seconds |
                        | --- | --- |
                        | `FLUSHALL` of 100,000 values of 4 KiB | %.3f |
                        | longest wait of another client until a second later | %.3f |
                        | from SIGTERM to the end of the process, 800,000 keys with values of 1 KiB | %.2f |
                        """, pauses.flush, pauses.blocked, pauses.end),
                List.of(
                        Target.maximum("cache.flushall-seconds", pauses.flush, 0.3),
                        Target.maximum("cache.flushall-wait-seconds", pauses.blocked, 0.05),
                        Target.maximum("cache.end-seconds", pauses.end, 2)));
    }
}
