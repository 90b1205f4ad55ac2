/** Tries what ksm4j promises on whatever kernel this runs. Started by {@code libexec/kernels} in guests that boot others. */
@NullMarked
package io.ksm4j.kernels;

import org.jspecify.annotations.NullMarked;
