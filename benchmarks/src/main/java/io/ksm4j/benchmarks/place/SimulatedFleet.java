// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.place;

import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.zip.CRC32C;
import java.util.zip.CheckedOutputStream;

/**
 * Processes of services: each has most pages of a data set of its service, of one of some frameworks and of a base that
 * all have, and pages of its own. So it is known how many pages any processes are expected to have in common.
 */
final class SimulatedFleet {

    static final int PAGE = 4096;

    /** As many contents as a sketch has at most. */
    private static final int MAX_CONTENTS = 87_296;

    private static final int FRAMEWORKS = 8;

    /** Pages of the common sets. */
    private static final int BASE = 20_000;

    private static final int FRAMEWORK = 40_000;
    private static final int SERVICE = 100_000;

    private static final int MIN_OWN = 90_000;
    private static final int MAX_OWN = 340_000;

    /** A process lacks one in this many pages of each common set. */
    private static final int MISSING = 10;

    /** Resident memory that cannot merge, such as files. */
    private static final long OTHER_BYTES = 200L << 20;

    private final int[] serviceOf;
    private final int[] ownOf;
    private final double scale;

    /**
     * Creates a fleet.
     *
     * @param scale a factor for all numbers of pages
     */
    SimulatedFleet(int services, int processes, double scale) {
        this.scale = scale;
        SplittableRandom random = new SplittableRandom(1);
        // Some services have seven times as many replicas as others.
        int[] replicas = IntStream.range(0, services)
                .flatMap(service -> IntStream.range(0, random.nextInt(1, 8)).map(i -> service))
                .toArray();
        serviceOf = IntStream.range(0, processes)
                .map(process -> process < services ? process : replicas[random.nextInt(replicas.length)])
                .toArray();
        ownOf = random.ints(processes, pages(MIN_OWN), pages(MAX_OWN)).toArray();
    }

    private int pages(int unscaled) {
        return (int) (scale * unscaled);
    }

    int processes() {
        return serviceOf.length;
    }

    int service(int process) {
        return serviceOf[process];
    }

    private static int framework(int service) {
        return service % FRAMEWORKS;
    }

    /** Returns the pages that processes are expected to save because they are on one host. */
    double shared(int[] members) {
        return shared(Arrays.stream(members).map(process -> 0), BASE)
                + shared(Arrays.stream(members).map(process -> framework(serviceOf[process])), FRAMEWORK)
                + shared(Arrays.stream(members).map(process -> serviceOf[process]), SERVICE);
    }

    /** Returns the same for sets of one kind, each of which some members have. */
    private double shared(IntStream sets, int unscaled) {
        int[] sorted = sets.sorted().toArray();
        double shared = 0;
        int start = 0;
        for (int end = 1; end <= sorted.length; end++) {
            if (end == sorted.length || sorted[end] != sorted[start]) {
                int size = end - start;
                double union = 1 - Math.pow(1.0 / MISSING, size);
                shared += pages(unscaled) * (size * (1 - 1.0 / MISSING) - union);
                start = end;
            }
        }
        return shared;
    }

    /** Writes a sketch of each process into a directory, named by its number, in the format of docs/placement.md. */
    void write(Path directory) {
        IntStream.range(0, processes()).parallel().forEach(process -> {
            try {
                write(directory.resolve(process + ".sketch"), process);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }

    private void write(Path file, int process) throws IOException {
        long[] all = hashes(process);
        boolean isSample = all.length > MAX_CONTENTS;
        int size = isSample ? MAX_CONTENTS : all.length;
        CRC32C checksum = new CRC32C();
        try (DataOutputStream out = new DataOutputStream(
                new BufferedOutputStream(new CheckedOutputStream(Files.newOutputStream(file), checksum), 1 << 16))) {
            out.write("ksmsktch".getBytes(StandardCharsets.US_ASCII));
            out.writeInt(1);
            out.writeLong(1);
            out.writeInt(PAGE);
            out.writeLong(256);
            out.writeBoolean(false);
            out.writeInt(1);
            out.writeLong(process);
            name(out, "Main");
            name(out, "service-" + serviceOf[process]);
            out.writeLong((long) all.length * PAGE + OTHER_BYTES);
            out.writeLong(all.length);
            out.writeLong(0);
            out.writeLong(0);
            out.writeLong(isSample ? all[MAX_CONTENTS] : Long.MAX_VALUE);
            out.writeInt(size);
            for (int i = 0; i < size; i++) {
                out.writeLong(all[i]);
            }
            for (int i = 0; i < size; i++) {
                out.writeInt(1);
            }
            out.flush();
            out.writeInt((int) checksum.getValue());
        }
    }

    private static void name(DataOutputStream out, String name) throws IOException {
        out.writeByte(name.length());
        out.write(name.getBytes(StandardCharsets.US_ASCII));
    }

    private long[] hashes(int process) {
        int service = serviceOf[process];
        long[] hashes = new long[pages(BASE) + pages(FRAMEWORK) + pages(SERVICE) + ownOf[process]];
        int size = append(hashes, 0, 1, pages(BASE), process, MISSING);
        size = append(hashes, size, 2 + framework(service), pages(FRAMEWORK), process, MISSING);
        size = append(hashes, size, 1000 + service, pages(SERVICE), process, MISSING);
        size = append(hashes, size, 1_000_000 + process, ownOf[process], process, Integer.MAX_VALUE);
        long[] all = Arrays.copyOf(hashes, size);
        Arrays.sort(all);
        return all;
    }

    private static int append(long[] hashes, int from, long set, int pages, int process, int missing) {
        int size = from;
        for (int page = 0; page < pages; page++) {
            long hash = mixed(set << Integer.SIZE | page);
            if (Long.remainderUnsigned(mixed(hash + process), missing) != 0) {
                hashes[size++] = hash >>> 1;
            }
        }
        return size;
    }

    /** The finalizer of MurmurHash3. */
    private static long mixed(long value) {
        long mixed = (value ^ value >>> 33) * 0xff51afd7ed558ccdL;
        mixed = (mixed ^ mixed >>> 33) * 0xc4ceb9fe1a85ec53L;
        return mixed ^ mixed >>> 33;
    }
}
