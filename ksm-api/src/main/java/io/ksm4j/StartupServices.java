// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Log;
import io.ksm4j.spi.KsmStartup;
import java.util.ServiceLoader;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Runs the {@link KsmStartup} services of other modules, once in each program. A service that fails does not fail the
 * program; it is run again later.
 */
final class StartupServices {

    private static final AtomicBoolean DONE = new AtomicBoolean();

    private StartupServices() {}

    static void startOnce() {
        if (!DONE.compareAndSet(false, true)) {
            return;
        }
        try {
            for (KsmStartup service : ServiceLoader.load(KsmStartup.class, StartupServices.class.getClassLoader())) {
                service.start();
            }
        } catch (Throwable t) {
            DONE.set(false);
            Log.debug("a startup service failed", t);
        }
    }
}
