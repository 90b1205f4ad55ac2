// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import java.util.Arrays;
import java.util.List;

/**
 * A sample of page contents: those whose keyed hash is below a threshold, each with the number of pages that have it.
 * As the hash alone decides, a content is in the samples of all processes that have it, or in none with that
 * threshold. This is a theta sketch (Dasgupta, Lang, Rhodes and Thaler, 2016): a KMV or bottom-k sketch that remembers
 * its threshold, so two samples can be compared below the lower one of theirs.
 */
public final class Sample {

    /** The threshold of a sample that has all contents. Hashes have 63 bits. */
    public static final long ALL = Long.MAX_VALUE;

    private final long threshold;
    private final long[] hashes;
    private final int[] counts;

    /** Creates a sample of these hashes, which ascend from at least 1 to less than the threshold. */
    Sample(long threshold, long[] hashes, int[] counts) {
        this.threshold = threshold;
        this.hashes = hashes;
        this.counts = counts;
    }

    /** Returns the threshold. */
    public long threshold() {
        return threshold;
    }

    /** Returns the number of contents in this sample. */
    public int size() {
        return hashes.length;
    }

    /** Returns the keyed hash of a content. They ascend. */
    public long hash(int index) {
        return hashes[index];
    }

    /** Returns how many pages have a content. */
    int count(int index) {
        return counts[index];
    }

    /** Returns how many contents one content of this sample stands for; 1 if it has all. */
    public double sampling() {
        return sampling(threshold);
    }

    /** Returns how many contents one content below a threshold stands for. */
    public static double sampling(long threshold) {
        return threshold == ALL ? 1 : 0x1p63 / threshold;
    }

    /** Returns this sample with a threshold that is at most this one. */
    public Sample below(long lower) {
        if (lower >= threshold) {
            return this;
        }
        int found = Arrays.binarySearch(hashes, lower);
        int end = found >= 0 ? found : -found - 1;
        return new Sample(lower, Arrays.copyOf(hashes, end), Arrays.copyOf(counts, end));
    }

    /** Returns the contents of several processes together. The threshold is the lowest of theirs. */
    public static Sample union(List<Sample> samples) {
        return switch (samples.size()) {
            case 0 -> new Sample(ALL, new long[0], new int[0]);
            case 1 -> samples.get(0);
            default -> {
                int half = samples.size() / 2;
                yield union(samples.subList(0, half)).union(union(samples.subList(half, samples.size())));
            }
        };
    }

    private Sample union(Sample other) {
        long lower = Math.min(threshold, other.threshold);
        Sample a = below(lower);
        Sample b = other.below(lower);
        long[] mergedHashes = new long[a.size() + b.size()];
        int[] mergedCounts = new int[mergedHashes.length];
        int size = 0;
        int i = 0;
        int j = 0;
        while (i < a.size() || j < b.size()) {
            long fromA = i < a.size() ? a.hashes[i] : ALL;
            long fromB = j < b.size() ? b.hashes[j] : ALL;
            mergedHashes[size] = Math.min(fromA, fromB);
            long count = 0;
            if (fromA <= fromB) {
                count += a.counts[i++];
            }
            if (fromB <= fromA) {
                count += b.counts[j++];
            }
            mergedCounts[size++] = (int) Math.min(count, Integer.MAX_VALUE);
        }
        return new Sample(lower, Arrays.copyOf(mergedHashes, size), Arrays.copyOf(mergedCounts, size));
    }

    /** Returns the estimated number of contents. */
    public double contents() {
        return size() * sampling();
    }

    /**
     * Returns the estimated number of pages that are kept when these merge.
     *
     * @param maxSharing the maximum number of mappings that share a page
     */
    public double kept(long maxSharing) {
        long kept = 0;
        for (int count : counts) {
            kept += copies(count, maxSharing);
        }
        return kept * sampling();
    }

    /**
     * Returns the estimated number of pages that are kept and that others were merged with.
     *
     * @param maxSharing the maximum number of mappings that share a page
     */
    public double merged(long maxSharing) {
        long merged = 0;
        for (int count : counts) {
            merged += count > 1 ? copies(count, maxSharing) : 0;
        }
        return merged * sampling();
    }

    /**
     * Returns the standard error of {@link #kept}: each content is in the sample or not, independently of the others.
     */
    public double standardError(long maxSharing) {
        if (threshold == ALL) {
            return 0;
        }
        double squares = 1; // However few contents are in the sample, one may have been missed by chance.
        for (int count : counts) {
            double kept = (double) copies(count, maxSharing);
            squares += kept * kept;
        }
        return Math.sqrt(squares * sampling() * (sampling() - 1));
    }

    /** Returns how many pages are kept of equal pages. */
    public static long copies(long pages, long maxSharing) {
        return (pages + maxSharing - 1) / maxSharing;
    }
}
