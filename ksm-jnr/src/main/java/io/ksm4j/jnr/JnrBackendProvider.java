// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.jnr;

import io.ksm4j.internal.LoadFailure;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;

/**
 * Provides the jnr-ffi backend, which is preferred to JNA, but not to FFM.
 *
 * @since 0.1.0
 */
public final class JnrBackendProvider implements KsmBackendProvider {

    /** Called by {@link java.util.ServiceLoader}. */
    public JnrBackendProvider() {}

    @Override
    public String name() {
        return JnrBackend.NAME;
    }

    @Override
    public int priority() {
        return 200;
    }

    @Override
    public KsmBackend open() {
        try {
            return new JnrBackend();
        } catch (LinkageError e) {
            throw LoadFailure.of("jnr-ffi", "com.github.jnr:jnr-ffi", "org.jnrproject.jffi", "jffi.extract.dir", e);
        }
    }
}
