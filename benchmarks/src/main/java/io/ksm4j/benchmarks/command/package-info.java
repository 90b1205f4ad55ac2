/** Measures the command {@code ksm}. */
@NullMarked
package io.ksm4j.benchmarks.command;

import org.jspecify.annotations.NullMarked;
