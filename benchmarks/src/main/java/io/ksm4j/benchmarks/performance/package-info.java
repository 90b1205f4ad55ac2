/** Runs the parts of {@code docs/performance.md} and updates the page. */
@NullMarked
package io.ksm4j.benchmarks.performance;

import org.jspecify.annotations.NullMarked;
