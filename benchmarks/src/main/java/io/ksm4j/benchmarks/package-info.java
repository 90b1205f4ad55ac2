/** Measures ksm4j, and writes what the documents show of it. Started by {@code benchmarks/run}. */
@NullMarked
package io.ksm4j.benchmarks;

import org.jspecify.annotations.NullMarked;
