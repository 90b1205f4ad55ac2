/** Compares the operations of the kernel's self-test in Java and C. */
@NullMarked
package io.ksm4j.benchmarks.kernel;

import org.jspecify.annotations.NullMarked;
