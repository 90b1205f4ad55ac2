/**
 * Allocates off-heap memory that Linux Kernel Samepage Merging (KSM) can merge, and marks existing memory mergeable.
 * {@link io.ksm4j.Ksm} is the entry point.
 *
 * <p>Unless a method says otherwise, passing {@code null} throws {@link java.lang.NullPointerException}, sizes are a
 * {@code long} number of bytes, and all types are safe for use by multiple threads.
 */
package io.ksm4j;
