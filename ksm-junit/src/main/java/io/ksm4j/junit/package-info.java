/**
 * A JUnit 5 extension for tests that need a kernel with Kernel Samepage Merging (KSM). {@link
 * io.ksm4j.junit.EnabledIfKsm} skips tests where KSM cannot be used and provides a {@link io.ksm4j.junit.RunningKsmd};
 * {@link io.ksm4j.junit.KsmAssertions} check what has merged.
 */
package io.ksm4j.junit;
