package io.ksm4j.testsupport;

import java.time.Duration;

/** How long tests wait for a condition before they fail. It detects tests that hang; it is no measure of speed. */
public final class Patience {

    /** Long enough for a slow machine under load. {@code -Dksm.tests.patience=SECONDS} makes tests that hang fail sooner. */
    public static final Duration PATIENCE = Duration.ofSeconds(Integer.getInteger("ksm.tests.patience", 180));

    private Patience() {}
}
