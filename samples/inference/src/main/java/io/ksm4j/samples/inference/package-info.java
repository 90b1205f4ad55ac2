/** The memory and the latency of JVMs that run the same model. */
@NullMarked
package io.ksm4j.samples.inference;

import org.jspecify.annotations.NullMarked;
