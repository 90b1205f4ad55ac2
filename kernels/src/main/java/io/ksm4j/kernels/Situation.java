// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import java.util.Arrays;
import java.util.Optional;

/** How a guest is prepared. */
enum Situation {
    /** No preparation. */
    PLAIN("-"),
    /** Two NUMA nodes, each with one processor and half of the memory. */
    NUMA("numa"),
    /** The guest has swap. */
    SWAP("swap"),
    /** All large mappings get huge pages. */
    THP("thp"),
    /** The guest runs out of memory. */
    SMALL("small"),
    /** {@code /sys} is mounted read-only. */
    READ_ONLY("read-only"),
    /** An empty directory is mounted over {@code /sys/kernel/mm/ksm}. */
    HIDDEN("hidden");

    private final String word;

    Situation(String word) {
        this.word = word;
    }

    static Optional<Situation> of(String word) {
        return Arrays.stream(values())
                .filter(situation -> situation.word.equals(word))
                .findFirst();
    }

    /** Returns the name in {@code libexec/kernels}. */
    String word() {
        return word;
    }
}
