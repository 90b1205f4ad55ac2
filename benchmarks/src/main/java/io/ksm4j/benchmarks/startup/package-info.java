/** Measures the time until a new JVM has marked a region. */
@NullMarked
package io.ksm4j.benchmarks.startup;

import org.jspecify.annotations.NullMarked;
