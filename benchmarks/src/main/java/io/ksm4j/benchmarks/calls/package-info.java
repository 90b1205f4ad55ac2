/** Compares system calls through ksm4j with C and with other bindings. */
@NullMarked
package io.ksm4j.benchmarks.calls;

import org.jspecify.annotations.NullMarked;
