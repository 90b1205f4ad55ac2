/**
 * The Linux interfaces that ksm4j uses: constants of system calls, and readers of files in {@code /proc}, {@code /sys}
 * and cgroups.
 *
 * <p>Internal: for ksm4j's own modules only. The class path does not enforce that. These types may change in any
 * release.
 */
package io.ksm4j.internal.linux;
