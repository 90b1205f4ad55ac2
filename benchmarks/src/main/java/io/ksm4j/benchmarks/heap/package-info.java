/** Compares data on heaps with data in regions and in other memory. */
@NullMarked
package io.ksm4j.benchmarks.heap;

import org.jspecify.annotations.NullMarked;
