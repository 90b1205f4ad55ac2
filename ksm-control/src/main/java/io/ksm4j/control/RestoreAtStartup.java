// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.spi.KsmStartup;

/**
 * Lets every program that has this module restore what killed programs had borrowed, even if it never calls
 * {@link KsmDaemon}.
 *
 * @since 0.1.0
 */
public final class RestoreAtStartup implements KsmStartup {

    /** Called by {@link java.util.ServiceLoader}. */
    public RestoreAtStartup() {}

    /** Checks for one file; calls {@link KsmDaemon#system()} only if settings are borrowed. */
    @Override
    public void start() {
        if (!SessionFile.ofThisMachine().isAbsent()) {
            KsmDaemon.system();
        }
    }
}
