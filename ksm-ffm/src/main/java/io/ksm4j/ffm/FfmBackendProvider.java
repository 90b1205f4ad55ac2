package io.ksm4j.ffm;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;

/** Finds the FFM backend, the first choice where Java is 22 or later. */
public final class FfmBackendProvider implements KsmBackendProvider {

    /** Called by {@link java.util.ServiceLoader}. */
    public FfmBackendProvider() {}

    @Override
    public String name() {
        return FfmBackend.NAME;
    }

    @Override
    public int priority() {
        return 300;
    }

    @Override
    public KsmBackend open() {
        try {
            return new FfmBackend();
        } catch (IllegalCallerException e) {
            throw new UnsupportedOperationException(
                    "native access is not enabled (" + e
                            + "): run Java with --enable-native-access=ALL-UNNAMED, or =io.ksm4j.ffm on the module path",
                    e);
        }
    }
}
