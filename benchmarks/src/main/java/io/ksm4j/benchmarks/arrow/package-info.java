/** Measures the memory for Apache Arrow. */
@NullMarked
package io.ksm4j.benchmarks.arrow;

import org.jspecify.annotations.NullMarked;
