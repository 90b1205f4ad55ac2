// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import java.time.Duration;

/** How long tests wait for a condition before they fail. This detects tests that hang; it does not measure speed. */
public final class Patience {

    /**
     * Long enough for a slow machine under load. {@code -Dksm.tests.patience=SECONDS} makes tests that hang fail
     * sooner.
     */
    public static final Duration PATIENCE = Duration.ofSeconds(Integer.getInteger("ksm.tests.patience", 180));

    private Patience() {}
}
