// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import io.ksm4j.KsmException;
import org.apache.arrow.memory.util.MemoryUtil;

/** The memory of one buffer. */
sealed interface Block {

    long address();

    /**
     * Pages that only this buffer uses.
     *
     * @param address of the first byte, on a page boundary
     * @param length in bytes, a multiple of the page size
     */
    record Pages(Chunk chunk, long address, long length) implements Block {

        /** Zeroes the pages, and gives their memory back. */
        void discard() {
            try {
                chunk.region().discard(address - chunk.address(), length);
            } catch (KsmException e) {
                // Memory locked with mlockall, before Linux 5.18.
                overwrite();
            }
        }

        /** Zeroes the pages, which keep their memory. */
        void overwrite() {
            MemoryUtil.setMemory(address, length, (byte) 0);
        }
    }

    /** A part of a page of small buffers. */
    record Slot(Slab slab, int index) implements Block {

        @Override
        public long address() {
            return slab.pages.address() + (long) index * slab.slotSize;
        }
    }
}
