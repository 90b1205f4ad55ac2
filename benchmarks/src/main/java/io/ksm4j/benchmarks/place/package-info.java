/** Measures {@code ksm place} with a simulated fleet. */
@NullMarked
package io.ksm4j.benchmarks.place;

import org.jspecify.annotations.NullMarked;
