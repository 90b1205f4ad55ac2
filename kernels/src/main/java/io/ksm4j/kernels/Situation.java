package io.ksm4j.kernels;

import java.util.Arrays;
import java.util.Optional;

/** How a guest was prepared. */
enum Situation {
    /** Nothing special. */
    PLAIN("-"),
    /** Two nodes with a processor and half of the memory each. */
    NUMA("numa"),
    /** There is swap. */
    SWAP("swap"),
    /** All large mappings get huge pages. */
    THP("thp"),
    /** Little memory is left. */
    SMALL("small"),
    /** {@code /sys} is mounted read-only. */
    READ_ONLY("read-only"),
    /** Something empty is mounted over {@code /sys/kernel/mm/ksm}. */
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

    /** As {@code libexec/kernels} names it. */
    String word() {
        return word;
    }
}
