/**
 * Statistics read from the kernel about what merging saves and costs, for the machine, a process and single regions.
 */
package io.ksm4j.stats;
