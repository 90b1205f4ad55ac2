package io.ksm4j;

import io.ksm4j.internal.Log;
import io.ksm4j.spi.KsmStartup;
import java.util.ServiceLoader;
import java.util.concurrent.atomic.AtomicBoolean;

/** Has done once what other modules want done in each program. No program fails for it; what fails is tried again. */
final class StartupServices {

    private static final AtomicBoolean DONE = new AtomicBoolean();

    private StartupServices() {}

    static void startOnce() {
        if (!DONE.compareAndSet(false, true)) {
            return;
        }
        try {
            ServiceLoader.load(KsmStartup.class, StartupServices.class.getClassLoader())
                    .forEach(KsmStartup::start);
        } catch (Throwable t) {
            DONE.set(false);
            Log.debug("not done at the start", t);
        }
    }
}
