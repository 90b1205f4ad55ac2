/**
 * Off-heap memory that the kernel may merge. {@link io.ksm4j.Ksm} is the way in.
 *
 * <p>Unless a method says otherwise, a {@code null} argument is answered with a {@link java.lang.NullPointerException}, every
 * size is a {@code long} number of bytes, and every type may be used by any number of threads at once.
 */
package io.ksm4j;
