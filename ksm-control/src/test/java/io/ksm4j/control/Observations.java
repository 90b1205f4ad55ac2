// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/** Observations for tests. */
final class Observations {

    static final long GIB = 1L << 30;

    private Observations() {}

    /** A machine of 16 GiB on which no memory is mergeable. */
    static Observation memory(double available, double stalled) {
        return memory(16 * GIB, (long) (16 * GIB * available), 0, stalled);
    }

    static Observation memory(long total, long free, long committed, double stalled) {
        return new Observation(
                Duration.ZERO,
                KsmSettings.EMPTY.with(KsmSetting.RUN, 0),
                OptionalLong.of(0),
                OptionalLong.of(0),
                OptionalLong.of(0),
                OptionalLong.of(0),
                OptionalLong.of(0),
                OptionalLong.of(0),
                0,
                Optional.of(Duration.ZERO),
                OptionalLong.of(total),
                OptionalLong.of(free),
                OptionalLong.of(free),
                OptionalLong.of(committed),
                OptionalDouble.of(stalled));
    }

    /** What a process sees in a container that hides all files. */
    static Observation nothing() {
        return new Observation(
                Duration.ZERO,
                KsmSettings.EMPTY,
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                0,
                Optional.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalLong.empty(),
                OptionalDouble.empty());
    }
}
