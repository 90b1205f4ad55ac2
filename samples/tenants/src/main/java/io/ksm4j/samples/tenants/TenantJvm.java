// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.Ksm;
import io.ksm4j.samples.measurement.MeasuredJvm;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** A JVM that adds a tenant for each line of its standard input, until the input ends. {@link RunningJvm} starts it. */
final class TenantJvm {

    private final String variant;
    private final String file;
    private final long seed;
    private final List<Object> tenants = new ArrayList<>();

    private TenantJvm(String variant, String file, long seed) {
        this.variant = variant;
        this.file = file;
        this.seed = seed;
    }

    /** Runs the JVM. The arguments are the variant, and the file, seed and size of the data. */
    public static void main(String[] args) throws IOException, InterruptedException, ReflectiveOperationException {
        TenantJvm jvm = new TenantJvm(args[0], args[1], Long.parseLong(args[2]));
        long size = Long.parseLong(args[3]);
        if (StorageVariant.valueOf(jvm.variant).optsIn()) {
            Ksm.system().process().markMergeable();
        }
        // The first tenant also loads one byte at the start, so that one-time costs of the JVM do not count as cost of
        // the data.
        TenantLoader loader = new TenantLoader();
        jvm.load(loader, 1);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.out.println(MeasuredJvm.READY);
        while (input.readLine() != null) {
            jvm.load(loader, size);
            System.out.println(MeasuredJvm.READY);
            loader = new TenantLoader();
        }
    }

    private void load(TenantLoader loader, long size) throws InterruptedException, ReflectiveOperationException {
        tenants.add(loader.loadClass(Tenant.class.getName())
                .getConstructor(String.class, String.class, long.class, long.class)
                .newInstance(variant, file, seed, size));
        // ksm4j registers MBeans and flight recorder events half a second later in threads of its own, which is not a
        // cost of the data.
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().startsWith("ksm4j-")) {
                thread.join();
            }
        }
        // Removes the garbage of loading, so that only the data counts.
        System.gc();
    }
}
