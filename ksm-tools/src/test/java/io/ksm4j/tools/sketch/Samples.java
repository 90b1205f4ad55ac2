// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Samples of pages that are given by numbers: equal numbers are equal contents. */
public final class Samples {

    private static final FleetKey KEY = FleetKey.of(new byte[32]);

    private Samples() {}

    /** Returns the sample with at most this many contents. */
    public static Sample of(int capacity, IntStream pages) {
        SampleBuilder builder = new SampleBuilder(capacity);
        pages.forEach(page -> builder.add(hash(page)));
        return builder.build();
    }

    /** Returns the sketch of a process with these pages, of 4 KiB. */
    public static Sketch sketch(int capacity, String group, int... pages) {
        return new Sketch(
                1, "Main", group, pages.length * 4096L, pages.length, 0, 0, of(capacity, Arrays.stream(pages)));
    }

    /** Returns the keyed hash of a page. */
    static long hash(int page) {
        return KEY.hash(new SplittableRandom(page).nextLong());
    }

    /** Returns the machine on which these samples were made. */
    public static Sketch.Machine machine() {
        return new Sketch.Machine(KEY, 4096, 256, false);
    }
}
