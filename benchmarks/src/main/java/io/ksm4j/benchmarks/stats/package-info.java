/** Compares reading the statistics in Java and C. */
@NullMarked
package io.ksm4j.benchmarks.stats;

import org.jspecify.annotations.NullMarked;
