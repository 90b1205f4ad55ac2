// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.jna;

import io.ksm4j.internal.LoadFailure;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;

/**
 * Provides the JNA backend, which is used if no other works.
 *
 * @since 0.1.0
 */
public final class JnaBackendProvider implements KsmBackendProvider {

    /** Called by {@link java.util.ServiceLoader}. */
    public JnaBackendProvider() {}

    @Override
    public String name() {
        return JnaBackend.NAME;
    }

    @Override
    public int priority() {
        return 100;
    }

    @Override
    public KsmBackend open() {
        try {
            return new JnaBackend();
        } catch (LinkageError e) {
            throw LoadFailure.of("JNA", "net.java.dev.jna:jna", "com.sun.jna", "jna.tmpdir", e);
        }
    }
}
