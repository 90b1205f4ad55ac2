// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Arrays for one operation of one thread. No thread-locals, because there may be millions of virtual threads; a thread
 * takes the array of its slot, or creates one if the slot is empty.
 */
final class Scratch {

    private static final int SLOTS = 32;

    private final AtomicReferenceArray<byte @Nullable []> slots = new AtomicReferenceArray<>(SLOTS);
    private final int length;

    Scratch(int length) {
        this.length = length;
    }

    private static int slot() {
        return (int) Thread.currentThread().getId() & (SLOTS - 1);
    }

    byte[] take() {
        byte[] array = slots.getAndSet(slot(), null);
        return array == null ? new byte[length] : array;
    }

    /** Overwrites the arrays that no thread has taken. */
    void clear() {
        for (int slot = 0; slot < SLOTS; slot++) {
            byte[] array = slots.getAndSet(slot, null);
            if (array != null) {
                Arrays.fill(array, (byte) 0);
            }
        }
    }

    void giveBack(byte @Nullable [] array) {
        if (array != null) {
            slots.setRelease(slot(), array);
        }
    }
}
