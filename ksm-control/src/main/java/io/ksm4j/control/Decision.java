package io.ksm4j.control;

import java.time.Duration;

/**
 * What a {@link TuningPolicy} wants.
 *
 * @param settings the settings that {@code ksmd} shall have until the next decision; those not named are as they were before the
 *     tuner started
 * @param pause how long until the next observation; zero and less is as soon as possible
 * @param reason why, in words for people
 */
public record Decision(KsmSettings settings, Duration pause, String reason) {}
