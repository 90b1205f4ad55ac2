package io.ksm4j.testsupport;

import java.time.Duration;

/** How long tests wait for what must come. It bounds a test that hangs, and says nothing of how fast anything is. */
public final class Patience {

    /** Enough for a slow machine with other things to do; {@code -Dksm.tests.patience=SECONDS} for one who looks for what hangs. */
    public static final Duration PATIENCE = Duration.ofSeconds(Integer.getInteger("ksm.tests.patience", 180));

    private Patience() {}
}
