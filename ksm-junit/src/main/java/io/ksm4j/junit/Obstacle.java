// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import io.ksm4j.Ksm;
import io.ksm4j.KsmSupport;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.internal.linux.KernelConfig;
import io.ksm4j.stats.Finding;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The reason why tests cannot use KSM on this machine.
 *
 * @param reason the reason, and a remedy
 * @param isOfTheBuild whether the machine has everything and only a backend is missing: tests then fail instead of
 *     being skipped
 */
record Obstacle(String reason, boolean isOfTheBuild) {

    /** The property that makes tests fail instead of being skipped. */
    static final String REQUIRED = "ksm.required";

    /** Checks anew each time: a test may have changed the result. */
    static Optional<Obstacle> find(boolean control) {
        Optional<Obstacle> marking = toMarking();
        if (marking.isPresent() || !control || KsmDaemon.system().mayChange()) {
            return marking;
        }
        return Optional.of(new Obstacle(
                "this process may not write /sys/kernel/mm/ksm/run, so it cannot start ksmd: run the tests as root,"
                        + " and on the host if /sys is read-only in this container",
                false));
    }

    private static Optional<Obstacle> toMarking() {
        try {
            KsmSupport support = Ksm.system().support();
            return support.canMark()
                    ? Optional.empty()
                    : Optional.of(new Obstacle(
                            support.obstacles().stream()
                                    .map(Finding::explanation)
                                    .collect(Collectors.joining("; ")),
                            false));
        } catch (KsmUnsupportedException e) {
            return Optional.of(new Obstacle(String.valueOf(e.getMessage()), KernelConfig.hasKsm()));
        }
    }

    /**
     * Returns the message with which the test fails.
     *
     * @param required whether {@link #REQUIRED} is true
     * @return empty if the test is to be skipped
     */
    Optional<String> failure(boolean required) {
        if (required) {
            return Optional.of("-D" + REQUIRED + "=true, but " + reason);
        }
        return isOfTheBuild ? Optional.of("this kernel has KSM, but no backend works: " + reason) : Optional.empty();
    }
}
