// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

/**
 * How much memory the buffers of a {@link MergeableMemory} use, before the kernel merges any of it.
 *
 * @param buffers the number of buffers
 * @param bufferBytes the size of the buffers, as Arrow accounts for them
 * @param pageBytes the size of the pages that are reserved for the buffers. The difference to {@code bufferBytes} is
 *     unused ends of pages, and pages of small buffers that are not full
 * @param retainedBytes the size of released pages that keep their memory for the next buffers
 * @param regions the number of regions
 * @param regionBytes the size of the regions. What exceeds {@code pageBytes} and {@code
 *     retainedBytes} is free address space that uses no memory
 * @since 0.1.0
 */
public record MergeableMemoryStats(
        long buffers, long bufferBytes, long pageBytes, long retainedBytes, int regions, long regionBytes) {}
