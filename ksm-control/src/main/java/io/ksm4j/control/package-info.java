/** Reads, changes, borrows and restores the settings of the kernel thread {@code ksmd}, and tunes them. */
package io.ksm4j.control;
