package io.ksm4j.tools;

import io.ksm4j.stats.ProcessKsmStats;

/**
 * A process that has something to do with merging.
 *
 * @param pid its number
 * @param name of a JVM the main class, or the jar it was started from; of others what the kernel calls it; printable, and never empty
 * @param stats what merging does for it
 */
record ProcessInfo(long pid, String name, ProcessKsmStats stats) {}
