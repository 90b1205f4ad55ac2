/** Measures the registry of open regions. */
@NullMarked
package io.ksm4j.benchmarks.registry;

import org.jspecify.annotations.NullMarked;
