/** Measures what a governor keeps of the saving where most memory equals no other. */
@NullMarked
package io.ksm4j.benchmarks.governor;

import org.jspecify.annotations.NullMarked;
