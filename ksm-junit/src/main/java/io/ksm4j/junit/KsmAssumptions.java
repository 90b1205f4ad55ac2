// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.opentest4j.AssertionFailedError;

/**
 * The conditions of {@link EnabledIfKsm} as methods, for other test engines than JUnit Jupiter and for tests that find
 * out only while they run what they need. If a condition is not met, the test is skipped with the reason, or fails with
 * {@code -Dksm.required=true}. Without a backend that works, tests fail on every kernel that has KSM.
 *
 * @since 0.1.0
 */
public final class KsmAssumptions {

    private KsmAssumptions() {}

    /**
     * Skips the test unless memory can be marked mergeable.
     *
     * @throws org.opentest4j.TestAbortedException if memory cannot be marked
     * @throws AssertionError if memory cannot be marked and {@code ksm.required} is true, or if only a backend is
     *     missing
     */
    public static void assumeKsm() {
        assumeNo(Obstacle.find(false));
    }

    /**
     * Skips the test unless memory can be marked mergeable and this process may change the settings of {@code ksmd}.
     *
     * @throws org.opentest4j.TestAbortedException if either condition is not met
     * @throws AssertionError if either condition is not met and {@code ksm.required} is true, or if only a backend is
     *     missing
     */
    public static void assumeControl() {
        assumeNo(Obstacle.find(true));
    }

    private static void assumeNo(Optional<Obstacle> obstacle) {
        if (obstacle.isPresent()) {
            Optional<String> failure = obstacle.get().failure(Boolean.getBoolean(Obstacle.REQUIRED));
            if (failure.isPresent()) {
                throw new AssertionFailedError(failure.get());
            }
            Assumptions.abort(obstacle.get().reason());
        }
    }
}
