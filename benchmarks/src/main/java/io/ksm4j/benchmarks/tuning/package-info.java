/** Compares what drives {@code ksmd}: over time, and until everything is merged. */
@NullMarked
package io.ksm4j.benchmarks.tuning;

import org.jspecify.annotations.NullMarked;
