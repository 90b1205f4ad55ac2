/** Benchmarks of ksm4j, which generate the numbers in the documentation. Started by {@code benchmarks/run}. */
@NullMarked
package io.ksm4j.benchmarks;

import org.jspecify.annotations.NullMarked;
