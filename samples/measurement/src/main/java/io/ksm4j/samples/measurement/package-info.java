/** What the samples share that start JVMs and measure their memory from outside. */
@NullMarked
package io.ksm4j.samples.measurement;

import org.jspecify.annotations.NullMarked;
