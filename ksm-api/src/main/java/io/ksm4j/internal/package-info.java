/**
 * What the modules of ksm4j share: settings, logging, and tools for code that must not fail half-way.
 *
 * <p>Internal: for ksm4j's own modules only. On the class path nothing keeps other code out, so these types may change in any release.
 */
package io.ksm4j.internal;
