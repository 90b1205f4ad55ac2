// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import com.tangosol.net.CacheFactory;
import io.ksm4j.samples.measurement.Machine;
import io.ksm4j.samples.measurement.MeasuredJvm;
import io.ksm4j.samples.measurement.SampleCommand;
import io.ksm4j.samples.measurement.SizeConverter;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Starts members of an Oracle Coherence cluster on this machine, in which the caches of several tenants contain the
 * same entries. Shows how much memory they take, kills a member, and checks that no value is lost.
 */
@Command(
        name = "coherence",
        version = "coherence, a sample of ksm4j",
        mixinStandardHelpOptions = true,
        description = "Loads the same entries for several tenants into a data grid whose members store equal values"
                + " once, then kills a member.",
        sortOptions = false)
public final class CoherenceSample extends SampleCommand {

    private static final String LOOPBACK = "127.0.0.1";
    private static final double GOAL = 1.05;
    private static final long TIMEOUT_NANOS = TimeUnit.MINUTES.toNanos(5);
    private static final long PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    /** The approximate size of a JVM that runs Coherence, without entries. */
    private static final long JVM_SIZE = 400 << 20;

    @Option(
            names = "--members",
            paramLabel = "N",
            description = "members that store entries, 2 to 16 (default: ${DEFAULT-VALUE})")
    private int members = 3;

    @Option(
            names = "--tenants",
            paramLabel = "N",
            description = "tenants, each with a cache, 1 to 64 (default: ${DEFAULT-VALUE})")
    private int tenants = 8;

    @Option(
            names = "--keys",
            paramLabel = "N",
            description = "entries in each cache, 1000 to 100000 (default: ${DEFAULT-VALUE})")
    private int keys = 2000;

    @Option(
            names = "--value-size",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = "size of each value, 1 to 1m (default: 16k)")
    private long size = 16 << 10;

    private final List<MeasuredJvm> running = new ArrayList<>();

    /**
     * Runs the sample.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        runAndExit(new CoherenceSample(), args);
    }

    @Override
    public Integer call() throws IOException {
        require(members >= 2 && members <= 16, "--members must be 2 to 16");
        require(tenants >= 1 && tenants <= 64, "--tenants must be 1 to 64");
        require(keys >= 1000 && keys <= 100_000, "--keys must be 1000 to 100000");
        require(size >= 1 && size <= 1 << 20, "--value-size must be 1 to 1m");
        // Each value is in two members.
        long distinct = 2L * keys * (size + 4096);
        Machine.requireMemory((members + 1) * JVM_SIZE + distinct, "Use fewer members, keys or smaller values.");
        try {
            return run(distinct) ? 0 : 1;
        } finally {
            running.forEach(MeasuredJvm::close);
        }
    }

    private boolean run(long capacity) throws IOException {
        Map<String, String> properties = properties();
        List<String> arguments = new ArrayList<>();
        properties.forEach((name, value) -> arguments.add("-D" + name + "=" + value));
        arguments.add("-D" + PoolBinaryStoreManager.CAPACITY + "=" + capacity);
        arguments.add(CoherenceMember.class.getName());
        System.out.printf(
                "%d members, %d tenants, each with the same %d values of %d bytes%n", members, tenants, keys, size);
        System.out.println(Machine.describe());
        for (int member = 0; member < members; member++) {
            running.add(new MeasuredJvm(arguments));
        }
        properties.forEach(System::setProperty);
        System.setProperty("coherence.distributed.localstorage", "false");
        try {
            TenantCaches caches = new TenantCaches(tenants, keys, Math.toIntExact(size));
            awaitSafe(caches);
            caches.load();
            boolean isSmall = printMemory();
            boolean isComplete = printRight(caches, "after loading");
            running.remove(0).close();
            awaitSafe(caches);
            boolean isStillComplete = printRight(caches, "after a member was killed");
            return isSmall && isComplete && isStillComplete;
        } finally {
            CacheFactory.shutdown();
        }
    }

    /** Returns the properties of a cluster that no other program finds. */
    private static Map<String, String> properties() throws IOException {
        int port;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = free.getLocalPort();
        }
        return new TreeMap<>(Map.of(
                "coherence.cluster",
                "ksm4j-" + ProcessHandle.current().pid(),
                "coherence.clusterport",
                String.valueOf(port),
                "coherence.wka",
                LOOPBACK,
                "coherence.localhost",
                LOOPBACK,
                "coherence.ttl",
                "0",
                "coherence.management",
                "none",
                "coherence.log.level",
                "2",
                "coherence.cacheconfig",
                "io/ksm4j/samples/coherence/cache-config.xml"));
    }

    /** Waits until the running members own all entries, and each entry is in two of them. */
    private void awaitSafe(TenantCaches caches) {
        long end = System.nanoTime() + TIMEOUT_NANOS;
        while (!caches.areSafeIn(running.size())) {
            if (System.nanoTime() > end) {
                throw new IllegalStateException("the members have not shared all partitions among them within "
                        + TimeUnit.NANOSECONDS.toMinutes(TIMEOUT_NANOS) + " minutes: see their messages above");
            }
            LockSupport.parkNanos(PAUSE_NANOS);
        }
    }

    /** {@return whether the memory of each member reaches the target} */
    private boolean printMemory() throws IOException {
        System.out.println(
                "\n| member | values | of all values, MiB | of distinct values, MiB | memory of the pool, MiB |"
                        + " index on the heap, MiB | memory / distinct |");
        System.out.println("| --- | --- | --- | --- | --- | --- | --- |");
        double worst = 0;
        for (int member = 0; member < running.size(); member++) {
            MemberReport report =
                    MemberReport.parse(running.get(member).execute("report").get(0));
            System.out.printf(
                    Locale.ROOT,
                    "| %d | %d | %.1f | %.1f | %.1f | %.1f | %.3f |%n",
                    member + 1,
                    report.values(),
                    mebibytes(report.stored()),
                    mebibytes(report.distinct()),
                    mebibytes(report.resident()),
                    mebibytes(report.index()),
                    report.memoryToDistinct());
            worst = Math.max(worst, report.memoryToDistinct());
        }
        System.out.printf(
                Locale.ROOT,
                "%ntarget memory-to-distinct measured %.3f goal %.2f %s%n",
                worst,
                GOAL,
                worst <= GOAL ? "met" : "missed");
        return worst <= GOAL;
    }

    private static double mebibytes(long bytes) {
        return bytes / (double) (1 << 20);
    }

    /** {@return whether all entries have their value} */
    private static boolean printRight(TenantCaches caches, String when) {
        long right = caches.countRight();
        System.out.printf("%s: %d of %d values are there%n", when, right, caches.entries());
        return right == caches.entries();
    }
}
