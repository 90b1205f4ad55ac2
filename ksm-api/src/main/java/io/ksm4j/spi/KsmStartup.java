// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

/**
 * An action that a module runs once in each program that uses ksm4j. Found by {@link java.util.ServiceLoader} when a
 * program first calls {@link io.ksm4j.Ksm#system()}, regardless of whether a backend works.
 *
 * @since 0.1.0
 */
@FunctionalInterface
public interface KsmStartup {

    /** Runs the action. It must be quick, because the program waits for it. Exceptions it throws are ignored. */
    void start();
}
