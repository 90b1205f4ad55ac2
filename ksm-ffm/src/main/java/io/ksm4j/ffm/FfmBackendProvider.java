// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;

/**
 * Provides the FFM backend, which is preferred to all others on Java 22 and later.
 *
 * @since 0.1.0
 */
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
                    "native access is not enabled (" + e + "): run Java with --enable-native-access=ALL-UNNAMED, or"
                            + " --enable-native-access=io.ksm4j.ffm on the module path",
                    e);
        }
    }
}
