/**
 * Code shared by the modules of ksm4j: settings, logging, and tools for code that must not fail half-way.
 *
 * <p>Internal: for ksm4j's own modules only. The class path does not enforce that. These types may change in any
 * release.
 */
package io.ksm4j.internal;
