package io.ksm4j.control;

import io.ksm4j.spi.KsmStartup;

/** Lets every program that has this module put back what killed ones have borrowed, also if it never asks for {@link KsmDaemon}. */
public final class RestoreAtStartup implements KsmStartup {

    /** For {@link java.util.ServiceLoader}. */
    public RestoreAtStartup() {}

    /** Looks for one file; only if somebody has borrowed settings, {@link KsmDaemon#system()} is asked for. */
    @Override
    public void start() {
        if (!SessionFile.ofThisMachine().isAbsent()) {
            KsmDaemon.system();
        }
    }
}
