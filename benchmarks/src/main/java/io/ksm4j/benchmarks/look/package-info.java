/** Measures how long looking for the memory of native libraries takes. */
@NullMarked
package io.ksm4j.benchmarks.look;

import org.jspecify.annotations.NullMarked;
