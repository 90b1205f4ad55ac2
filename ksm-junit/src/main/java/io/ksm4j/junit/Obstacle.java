package io.ksm4j.junit;

import io.ksm4j.Ksm;
import io.ksm4j.KsmSupport;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.internal.linux.KernelConfig;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What keeps tests from using KSM on this machine.
 *
 * @param reason what it is, and what cures it
 * @param isOfTheBuild whether the machine has all it takes, and the build lacks a backend: then tests fail wherever they run
 */
record Obstacle(String reason, boolean isOfTheBuild) {

    /** Where it is {@code true}, tests that meet an obstacle fail. */
    static final String REQUIRED = "ksm.required";

    /** Looks anew each time: a test may have changed it. */
    static Optional<Obstacle> find(boolean control) {
        Optional<Obstacle> marking = inTheWayOfMarking();
        if (marking.isPresent() || !control || KsmDaemon.system().mayChange()) {
            return marking;
        }
        return Optional.of(new Obstacle(
                "this process may not write /sys/kernel/mm/ksm/run, and so not start ksmd: run the tests as root,"
                        + " on the host if this is a container whose /sys is read-only",
                false));
    }

    private static Optional<Obstacle> inTheWayOfMarking() {
        try {
            KsmSupport support = Ksm.system().support();
            return support.canMark()
                    ? Optional.empty()
                    : Optional.of(new Obstacle(
                            support.obstacles().stream()
                                    .map(KsmSupport.Obstacle::explanation)
                                    .collect(Collectors.joining("; ")),
                            false));
        } catch (KsmUnsupportedException e) {
            return Optional.of(new Obstacle(String.valueOf(e.getMessage()), KernelConfig.hasKsm()));
        }
    }

    /**
     * What a test fails with.
     *
     * @param required whether {@link #REQUIRED} is true
     * @return empty if it is to be skipped
     */
    Optional<String> failure(boolean required) {
        if (required) {
            return Optional.of("-D" + REQUIRED + "=true, but " + reason);
        }
        return isOfTheBuild
                ? Optional.of("this kernel has KSM, and what is missing is a backend that works: " + reason)
                : Optional.empty();
    }
}
