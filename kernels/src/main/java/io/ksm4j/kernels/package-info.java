/**
 * Tests what ksm4j promises on the kernel that runs. {@code libexec/kernels} starts them in guests with other kernels.
 */
@NullMarked
package io.ksm4j.kernels;

import org.jspecify.annotations.NullMarked;
