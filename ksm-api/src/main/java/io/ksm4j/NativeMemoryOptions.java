// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.time.Duration;
import java.util.Objects;

/**
 * Which memory of native libraries to mark, and how often to look for more. Start from {@link #DEFAULT} and change
 * individual options.
 *
 * @param minSize the size in bytes from which memory is marked, at least 64 KiB
 * @param interval how often to look for memory that is new or gone; 0 if only {@link NativeMemory#look()} does
 * @param governor when to unmark what does not pay off; its interval is ignored, because {@code look()} judges, too
 * @since 0.1.0
 */
public record NativeMemoryOptions(long minSize, Duration interval, GovernorOptions governor) {

    /** The default options: memory from 1 MiB on, a look every 10 seconds, and {@link GovernorOptions#DEFAULT}. */
    public static final NativeMemoryOptions DEFAULT =
            new NativeMemoryOptions(1 << 20, Duration.ofSeconds(10), GovernorOptions.DEFAULT);

    /** The smallest value for {@link #minSize()}: 64 KiB. */
    public static final long MIN_SIZE = 64 << 10;

    /**
     * Creates options.
     *
     * @throws IllegalArgumentException if {@code minSize} is below 64 KiB, or the interval is negative
     */
    public NativeMemoryOptions {
        if (minSize < MIN_SIZE) {
            throw new IllegalArgumentException("invalid minSize " + minSize + ": must be at least " + MIN_SIZE);
        }
        if (interval.isNegative()) {
            throw new IllegalArgumentException("invalid interval " + interval + ": must not be negative");
        }
        Objects.requireNonNull(governor, "governor");
    }

    /**
     * Returns a copy with the given minimum size.
     *
     * @param minSize see {@link #minSize()}
     * @return the copy
     * @throws IllegalArgumentException if it is below 64 KiB
     */
    public NativeMemoryOptions withMinSize(long minSize) {
        return new NativeMemoryOptions(minSize, interval, governor);
    }

    /**
     * Returns a copy with the given interval.
     *
     * @param interval see {@link #interval()}
     * @return the copy
     * @throws IllegalArgumentException if it is negative
     */
    public NativeMemoryOptions withInterval(Duration interval) {
        return new NativeMemoryOptions(minSize, interval, governor);
    }

    /**
     * Returns a copy with the given options of the governor.
     *
     * @param governor see {@link #governor()}
     * @return the copy
     */
    public NativeMemoryOptions withGovernor(GovernorOptions governor) {
        return new NativeMemoryOptions(minSize, interval, governor);
    }
}
