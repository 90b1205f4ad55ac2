// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import org.apache.arrow.memory.AllocationManager;
import org.apache.arrow.memory.BufferAllocator;

/** A buffer, as Arrow sees it. */
final class MergeableAllocation extends AllocationManager {

    private final MergeableMemory memory;
    private final BufferAllocator root;
    private final Block block;
    private final long size;

    MergeableAllocation(MergeableMemory memory, BufferAllocator allocator, Block block, long size) {
        super(allocator);
        this.memory = memory;
        this.root = allocator.getRoot();
        this.block = block;
        this.size = size;
    }

    /** What Arrow has accounted for, so no page more. */
    @Override
    public long getSize() {
        return size;
    }

    @Override
    protected long memoryAddress() {
        return block.address();
    }

    /** Arrow calls it once. */
    @Override
    protected void release0() {
        memory.release(root, block, size);
    }
}
