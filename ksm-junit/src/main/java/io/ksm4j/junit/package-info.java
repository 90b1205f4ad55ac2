/**
 * A JUnit 5 extension for tests that need a kernel with Kernel Samepage Merging. {@link io.ksm4j.junit.EnabledIfKsm} skips them where
 * there is none, and gives them a {@link io.ksm4j.junit.RunningKsmd}; {@link io.ksm4j.junit.KsmAssertions} say what has merged.
 */
package io.ksm4j.junit;
