// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.coherence;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Set;

/**
 * What a member stores, primaries and backups.
 *
 * @param values the number of values
 * @param stored the bytes of all values
 * @param distinct the bytes of all values that differ
 * @param resident the bytes of memory that the pool occupies, according to the kernel
 * @param index the bytes of the heap with which the pool finds equal pages
 */
record MemberReport(long values, long stored, long distinct, long resident, long index) {

    /** Counts what this JVM stores. */
    static MemberReport ofThisJvm() {
        Set<String> digests = new HashSet<>();
        long[] counts = new long[3];
        for (PoolBinaryStore store : PoolBinaryStoreManager.stores()) {
            store.forEachValue(value -> {
                counts[0]++;
                counts[1] += value.length;
                if (digests.add(digest(value))) {
                    counts[2] += value.length;
                }
            });
        }
        return new MemberReport(
                counts[0],
                counts[1],
                counts[2],
                PoolBinaryStoreManager.pool().mergeStats().residentBytes(),
                PoolBinaryStoreManager.pool().stats().indexBytes());
    }

    private static String digest(byte[] value) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(value));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JVM has SHA-256", e);
        }
    }

    static MemberReport parse(String line) {
        String[] numbers = line.split(" ", -1);
        return new MemberReport(
                Long.parseLong(numbers[0]),
                Long.parseLong(numbers[1]),
                Long.parseLong(numbers[2]),
                Long.parseLong(numbers[3]),
                Long.parseLong(numbers[4]));
    }

    String line() {
        return values + " " + stored + " " + distinct + " " + resident + " " + index;
    }

    /** Returns the memory of the values divided by the bytes that differ. */
    double memoryToDistinct() {
        return (double) resident / distinct;
    }
}
