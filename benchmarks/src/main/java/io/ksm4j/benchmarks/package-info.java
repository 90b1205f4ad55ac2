/**
 * What the benchmarks of ksm4j have in common. They generate the numbers in the documentation; {@code benchmarks/run}
 * starts them.
 */
@NullMarked
package io.ksm4j.benchmarks;

import org.jspecify.annotations.NullMarked;
