// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import java.time.Duration;

/**
 * What a {@link TuningPolicy} has decided.
 *
 * @param settings the settings to apply until the next decision; all others are as they were before the tuner started
 * @param pause how long to wait before the next observation; zero or negative for no pause
 * @param endsAtMark whether the pause ends early, within about 20 ms, when this JVM marks memory mergeable through
 *     ksm4j
 * @param reason the reason, as text for people
 * @since 0.1.0
 */
public record Decision(KsmSettings settings, Duration pause, boolean endsAtMark, String reason) {

    /**
     * Creates a decision whose pause does not end early.
     *
     * @param settings the settings to apply until the next decision
     * @param pause how long to wait before the next observation
     * @param reason the reason, as text for people
     */
    public Decision(KsmSettings settings, Duration pause, String reason) {
        this(settings, pause, false, reason);
    }

    /** {@return the same decision for another reason} */
    Decision because(String otherReason) {
        return new Decision(settings, pause, endsAtMark, otherReason);
    }
}
