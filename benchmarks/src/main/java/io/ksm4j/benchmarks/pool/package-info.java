/** Measures the pool. */
@NullMarked
package io.ksm4j.benchmarks.pool;

import org.jspecify.annotations.NullMarked;
