/** Mergeable memory for the buffers of Apache Arrow. */
package io.ksm4j.arrow;
