/**
 * Linux as ksm4j sees it: numbers of its system calls, and readers of its files in {@code /proc}, {@code /sys} and cgroups.
 *
 * <p>Internal: for ksm4j's own modules only. On the class path nothing keeps other code out, so these types may change in any release.
 */
package io.ksm4j.internal.linux;
