package io.ksm4j.samples.tenants;

import io.ksm4j.Ksm;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A JVM that has one tenant more after each line of its standard input, until that ends. {@link RunningJvm} starts it. */
final class TenantJvm {

    static final String READY = "ready";

    private final String way;
    private final String file;
    private final long seed;
    private final List<Object> tenants = new ArrayList<>();

    private TenantJvm(String way, String file, long seed) {
        this.way = way;
        this.file = file;
        this.seed = seed;
    }

    /** The arguments are the way, and file, seed and size of the data. */
    public static void main(String[] args) throws IOException, InterruptedException, ReflectiveOperationException {
        TenantJvm jvm = new TenantJvm(args[0], args[1], Long.parseLong(args[2]));
        long size = Long.parseLong(args[3]);
        if (Way.valueOf(jvm.way).optsIn()) {
            Ksm.system().process().markMergeable();
        }
        // The first one starts with a rehearsal: what a JVM needs to load anything at all is no cost of the data.
        TenantLoader loader = new TenantLoader();
        jvm.load(loader, 1);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.out.println(READY);
        while (input.readLine() != null) {
            jvm.load(loader, size);
            System.out.println(READY);
            loader = new TenantLoader();
        }
    }

    private void load(TenantLoader loader, long size) throws InterruptedException, ReflectiveOperationException {
        tenants.add(loader.loadClass(Tenant.class.getName())
                .getConstructor(String.class, String.class, long.class, long.class)
                .newInstance(way, file, seed, size));
        // What ksm4j tells JMX and the flight recorder half a second later, in threads of its own, is no cost of the
        // data.
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().startsWith("ksm4j-")) {
                thread.join();
            }
        }
        // What counts is the data, not the garbage of loading it.
        System.gc();
    }
}
