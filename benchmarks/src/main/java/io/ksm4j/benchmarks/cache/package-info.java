/** Measures and soak-tests the sample cache server. */
@NullMarked
package io.ksm4j.benchmarks.cache;

import org.jspecify.annotations.NullMarked;
