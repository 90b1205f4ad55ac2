// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

/**
 * Creates one kind of {@link KsmBackend}. Providers are found by {@link java.util.ServiceLoader}. Creating a provider
 * and getting its name and priority must not load native code.
 *
 * @since 0.1.0
 */
public interface KsmBackendProvider {

    /**
     * Returns the name of the backends that this provider creates.
     *
     * @return a short lower-case name
     */
    String name();

    /**
     * Returns the rank of this provider. Providers are tried in descending order of rank, and the first backend that
     * works is used.
     *
     * @return the rank
     */
    int priority();

    /**
     * Binds the native functions.
     *
     * @return a backend that works on this machine
     * @throws UnsupportedOperationException if the backend cannot work on this machine; the message says why and how to
     *     fix that
     */
    KsmBackend open();
}
