package io.ksm4j.control;

import java.time.Duration;

/**
 * What a {@link TuningPolicy} wants.
 *
 * @param settings the settings that {@code ksmd} shall have until the next decision; those not named are as they were before the
 *     tuner started
 * @param pause how long until the next observation; zero and less is as soon as possible
 * @param endsAtMark whether the pause ends sooner, within some 20 ms, when this JVM marks memory mergeable through ksm4j
 * @param reason why, in words for people
 */
public record Decision(KsmSettings settings, Duration pause, boolean endsAtMark, String reason) {

    /**
     * A decision whose pause takes its whole time.
     *
     * @param settings as in the record
     * @param pause as in the record
     * @param reason as in the record
     */
    public Decision(KsmSettings settings, Duration pause, String reason) {
        this(settings, pause, false, reason);
    }

    Decision because(String otherReason) {
        return new Decision(settings, pause, endsAtMark, otherReason);
    }
}
