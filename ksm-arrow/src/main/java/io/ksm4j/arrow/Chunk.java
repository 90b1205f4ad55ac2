// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import io.ksm4j.MergeRegion;

/**
 * A region from which buffers get pages.
 *
 * @param address of its first byte; {@link MergeRegion#address()} of a region that is a direct buffer is invented
 * @param size bytes
 */
record Chunk(MergeRegion region, long address, long size) {}
