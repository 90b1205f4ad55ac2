// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Released pages that keep their memory, and their old content, for the next buffers of the same length. Not safe for
 * use by multiple threads.
 */
final class RetainedPages {

    /** The oldest first. */
    private final Set<Block.Pages> byAge = new LinkedHashSet<>();

    private final Map<Long, Deque<Block.Pages>> byLength = new HashMap<>();
    private long bytes;

    long bytes() {
        return bytes;
    }

    void add(Block.Pages pages) {
        byAge.add(pages);
        byLength.computeIfAbsent(pages.length(), length -> new ArrayDeque<>()).addLast(pages);
        bytes += pages.length();
    }

    /** {@return the pages of this length in bytes that were added last, or null if there are none} */
    Block.@Nullable Pages take(long length) {
        Deque<Block.Pages> sameLength = byLength.get(length);
        Block.Pages last = sameLength == null ? null : sameLength.pollLast();
        if (last != null) {
            byAge.remove(last);
            bytes -= length;
        }
        return last;
    }

    /** Removes the oldest pages until no more than this many bytes are left. */
    List<Block.Pages> removeOldest(long maxBytes) {
        List<Block.Pages> removed = new ArrayList<>();
        Iterator<Block.Pages> oldest = byAge.iterator();
        while (bytes > maxBytes) {
            Block.Pages pages = oldest.next();
            oldest.remove();
            Objects.requireNonNull(byLength.get(pages.length()), "pages of the same length")
                    .removeFirst();
            bytes -= pages.length();
            removed.add(pages);
        }
        return removed;
    }
}
