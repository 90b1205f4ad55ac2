package io.ksm4j.benchmarks;

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
 * The cache server beside the Redis of the distribution, asked by {@code redis-benchmark}, and its memory with one tenant and with eight.
 * Writes the tables of {@code docs/cache-server.md}.
 *
 * <p>The three servers are there at the same time, and are asked one after the other. While another one is asked, {@code ksmd} stands
 * still, so that merging costs only the server whose pages it merges.
 */
final class Cache {

    private static final KsmSettings STOPPED = KsmSettings.EMPTY.with(KsmSetting.RUN, 0);

    /** As on a machine where nobody merges. The cache server changes them for itself. */
    private static final KsmSettings AS_FOUND =
            STOPPED.with(KsmSetting.PAGES_TO_SCAN, 100).with(KsmSetting.SLEEP_MILLISECS, 20);

    private static final int TENANTS = 8;
    private static final Duration BETWEEN_LOOKS = Duration.ofMillis(1100);
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final Pattern RATE = Pattern.compile("(?m)^\"[SG]ET\",\"([0-9.]+)\"");

    private final Path folder;

    /** Each call of {@code redis-benchmark} shall take about so long. */
    private final double seconds;

    Cache(Path folder, double seconds) {
        this.folder = folder;
        this.seconds = seconds;
    }

    /** Measures and writes. The argument is the root of the repository. */
    public static void main(String[] args) throws Exception {
        Path root = Path.of(args[0]);
        String missing = missing();
        if (!missing.isEmpty()) {
            System.err.println("benchmarks/run cache: " + missing);
            System.exit(1);
        }
        Path folder = Files.createTempDirectory("ksm4j-cache");
        CacheReport report;
        RunningKsmd lock = RunningKsmd.start();
        try {
            Cache cache = new Cache(folder, 0.7);
            Map<CacheCase, List<CacheReport.Round>> rounds = cache.throughput(CacheCase.ALL, 5);
            report = cache.withMemory(rounds, 10_000, 1_000);
        } finally {
            lock.close();
            delete(folder);
        }
        String text = "Measured on " + Machine.describe() + ".\n\n" + report.text();
        System.out.print(text);
        MeasuredPart part = new MeasuredPart(Path.of("docs", "cache-server.md"), "cache");
        Files.writeString(root.resolve(part.page()), part.replaced(root, text));
    }

    /** What must be installed first; empty if nothing. */
    static String missing() {
        for (String program : List.of("redis-server", "redis-benchmark")) {
            if (Stream.of(System.getenv("PATH").split(File.pathSeparator, -1))
                    .noneMatch(entry -> Files.isExecutable(Path.of(entry, program)))) {
                return "there is no " + program + ": apt-get install redis-server redis-tools";
            }
        }
        return "";
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(folder);
    }

    /** One round more than is asked for is run before, and counts for nothing. */
    Map<CacheCase, List<CacheReport.Round>> throughput(List<CacheCase> cases, int rounds) throws Exception {
        Map<CacheCase, List<CacheReport.Round>> measured = new LinkedHashMap<>();
        Map<CacheCase, Integer> requests = new LinkedHashMap<>();
        KsmSession found = KsmDaemon.system().borrow(AS_FOUND);
        try (CacheProcess redis = CacheProcess.redis(folder);
                CacheProcess off = CacheProcess.sample(folder, List.of(), "--merge", "off");
                CacheProcess on = CacheProcess.sample(folder, List.of())) {
            for (CacheProcess server : List.of(redis, off, on)) {
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
                    measured.get(which).add(round(which, requests.get(which), round % 2 == 0, redis, off, on));
                }
            }
        } finally {
            found.close();
        }
        return measured;
    }

    private CacheReport.Round round(
            CacheCase which, int requests, boolean backwards, CacheProcess redis, CacheProcess off, CacheProcess on)
            throws Exception {
        double onFirst = backwards ? ask(which, on, requests) : 0;
        double redisRate;
        double offRate;
        KsmSession still = KsmDaemon.system().borrow(STOPPED);
        try {
            offRate = backwards ? ask(which, off, requests) : 0;
            redisRate = ask(which, redis, requests);
            if (!backwards) {
                offRate = ask(which, off, requests);
            }
        } finally {
            still.close();
        }
        return new CacheReport.Round(redisRate, offRate, backwards ? onFirst : ask(which, on, requests));
    }

    /** Returns how many requests take about as long as they shall. */
    private int warmUp(CacheCase which, CacheProcess redis) throws Exception {
        double rate = ask(which, redis, 2_000);
        return (int) Math.max(1_000, rate * seconds);
    }

    /** Each value is there twice. */
    private void fill(CacheProcess server, List<CacheCase> cases) throws IOException {
        for (CacheCase which : cases.stream()
                .filter(each -> each.pipeline() == 1 && each.clients() == 1)
                .toList()) {
            fill(server, which.database(), which.keys(), which.valueBytes());
        }
    }

    /** Under the names that {@code redis-benchmark} uses. */
    private static void fill(CacheProcess server, int database, int keys, int valueBytes) throws IOException {
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

    /** Requests a second. */
    private double ask(CacheCase which, CacheProcess server, int requests) throws Exception {
        Path output = folder.resolve("redis-benchmark.csv");
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

    /** With so many different values of 4 KiB and of 64 KiB, which each tenant has. */
    CacheReport withMemory(Map<CacheCase, List<CacheReport.Round>> rounds, int small, int large) throws Exception {
        long dataBytes = ((long) small * 4 + (long) large * 64) << 10;
        KsmSession found = KsmDaemon.system().borrow(AS_FOUND);
        try (CacheProcess server = CacheProcess.sample(folder, List.of(), "--max-memory", "4g")) {
            System.out.println("Memory");
            load(server, 0, small, large);
            CacheReport.Memory one = settled(server, 0);
            for (int tenant = 1; tenant < TENANTS; tenant++) {
                load(server, tenant, small, large);
            }
            return new CacheReport(rounds, one, settled(server, dataBytes * (TENANTS - 1)));
        } finally {
            found.close();
        }
    }

    private static void load(CacheProcess server, int tenant, int small, int large) throws IOException {
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

    /** Once all but a hundredth of so many bytes are saved, and no more come from look to look; or when patience ends. */
    private static CacheReport.Memory settled(CacheProcess server, long savable) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        try (RespClient client = server.connect()) {
            long resident = -1;
            long before;
            do {
                before = resident;
                // What is told is at most a second old, from the second time on.
                Thread.sleep(BETWEEN_LOOKS);
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
