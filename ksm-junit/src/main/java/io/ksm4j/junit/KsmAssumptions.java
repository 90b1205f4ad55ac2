package io.ksm4j.junit;

import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.opentest4j.AssertionFailedError;

/**
 * The conditions of {@link EnabledIfKsm} as statements, for test engines beside JUnit Jupiter and for tests that know only while they run
 * what they need. What is not met skips the test with the reason, or fails it with {@code -Dksm.required=true}. A build without a
 * backend fails tests on every kernel that has KSM.
 */
public final class KsmAssumptions {

    private KsmAssumptions() {}

    /**
     * Goes on only where memory can be marked mergeable.
     *
     * @throws org.opentest4j.TestAbortedException where it cannot
     * @throws AssertionError where it cannot and {@code ksm.required} is true, or only a backend is missing
     */
    public static void assumeKsm() {
        assumeNo(Obstacle.find(false));
    }

    /**
     * Goes on only where memory can be marked mergeable and this process may change the settings of {@code ksmd}.
     *
     * @throws org.opentest4j.TestAbortedException where it is not so
     * @throws AssertionError where it is not so and {@code ksm.required} is true, or only a backend is missing
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
