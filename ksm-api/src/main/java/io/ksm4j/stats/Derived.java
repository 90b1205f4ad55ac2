// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * Arithmetic on values that may be absent. If an operand is absent, or the result does not fit, the result is absent.
 */
final class Derived {

    /**
     * The size of the kernel's record of each page it has scanned: {@code sizeof(struct ksm_rmap_item)} on 64-bit
     * machines.
     */
    static final long RMAP_ITEM_BYTES = 64;

    private Derived() {}

    static OptionalLong sum(OptionalLong... terms) {
        long sum = 0;
        for (OptionalLong term : terms) {
            if (term.isEmpty()) {
                return OptionalLong.empty();
            }
            long next = sum + term.getAsLong();
            if (next < sum) {
                return OptionalLong.empty();
            }
            sum = next;
        }
        return OptionalLong.of(sum);
    }

    /** Also absent if the page size is unknown (0). */
    static OptionalLong bytes(OptionalLong pages, long pageSize) {
        if (pages.isEmpty() || pageSize == 0 || pages.getAsLong() > Long.MAX_VALUE / pageSize) {
            return OptionalLong.empty();
        }
        return OptionalLong.of(pages.getAsLong() * pageSize);
    }

    static OptionalLong profit(OptionalLong savedBytes, OptionalLong rmapItems) {
        OptionalLong spent = bytes(rmapItems, RMAP_ITEM_BYTES);
        return savedBytes.isEmpty() || spent.isEmpty()
                ? OptionalLong.empty()
                : OptionalLong.of(savedBytes.getAsLong() - spent.getAsLong());
    }

    static OptionalDouble ratio(OptionalLong part, OptionalLong whole) {
        if (part.isEmpty() || whole.isEmpty() || (part.getAsLong() == 0 && whole.getAsLong() == 0)) {
            return OptionalDouble.empty();
        }
        return OptionalDouble.of((double) part.getAsLong() / whole.getAsLong());
    }

    static OptionalLong difference(OptionalLong later, OptionalLong earlier) {
        return later.isEmpty() || earlier.isEmpty() || later.getAsLong() < earlier.getAsLong()
                ? OptionalLong.empty()
                : OptionalLong.of(later.getAsLong() - earlier.getAsLong());
    }
}
