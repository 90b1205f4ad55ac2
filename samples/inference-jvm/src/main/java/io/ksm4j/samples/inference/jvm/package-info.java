/** The program of the sample {@code inference} that uses ONNX Runtime. */
@NullMarked
package io.ksm4j.samples.inference.jvm;

import org.jspecify.annotations.NullMarked;
