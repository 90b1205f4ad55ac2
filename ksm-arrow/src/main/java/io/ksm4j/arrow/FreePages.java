// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.arrow;

import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The free pages of all chunks, all of them zeros, as runs between pages in use. A buffer gets the start of the
 * smallest run that has room (best fit). Not safe for use by multiple threads.
 */
final class FreePages {

    private final NavigableMap<Long, Block.Pages> byAddress = new TreeMap<>();

    /** The same runs by length, then by address. */
    private final NavigableMap<Long, NavigableMap<Long, Block.Pages>> byLength = new TreeMap<>();

    /** {@return pages of this length in bytes, or null if no run has room} */
    Block.@Nullable Pages take(long length) {
        Map.Entry<Long, NavigableMap<Long, Block.Pages>> fitting = byLength.ceilingEntry(length);
        if (fitting == null) {
            return null;
        }
        Block.Pages run = fitting.getValue().firstEntry().getValue();
        remove(run);
        if (run.length() > length) {
            insert(new Block.Pages(run.chunk(), run.address() + length, run.length() - length));
        }
        return new Block.Pages(run.chunk(), run.address(), length);
    }

    /** Adds pages, and joins them with the runs next to them. */
    void add(Block.Pages pages) {
        Block.Pages run = pages;
        Map.Entry<Long, Block.Pages> before = byAddress.lowerEntry(pages.address());
        if (before != null && touch(before.getValue(), run)) {
            run = join(before.getValue(), run);
            remove(before.getValue());
        }
        Map.Entry<Long, Block.Pages> after = byAddress.higherEntry(pages.address());
        if (after != null && touch(run, after.getValue())) {
            run = join(run, after.getValue());
            remove(after.getValue());
        }
        insert(run);
    }

    private static boolean touch(Block.Pages left, Block.Pages right) {
        return left.chunk().equals(right.chunk()) && left.address() + left.length() == right.address();
    }

    private static Block.Pages join(Block.Pages left, Block.Pages right) {
        return new Block.Pages(left.chunk(), left.address(), left.length() + right.length());
    }

    /** Removes runs of this length, except for the given number, and returns their chunks. */
    List<Chunk> removeRuns(long length, int kept) {
        NavigableMap<Long, Block.Pages> runs = byLength.getOrDefault(length, Collections.emptyNavigableMap());
        List<Block.Pages> removed = runs.values().stream().skip(kept).toList();
        removed.forEach(this::remove);
        return removed.stream().map(Block.Pages::chunk).toList();
    }

    private void remove(Block.Pages run) {
        byAddress.remove(run.address());
        NavigableMap<Long, Block.Pages> sameLength = byLength.get(run.length());
        sameLength.remove(run.address());
        if (sameLength.isEmpty()) {
            byLength.remove(run.length());
        }
    }

    private void insert(Block.Pages run) {
        byAddress.put(run.address(), run);
        byLength.computeIfAbsent(run.length(), length -> new TreeMap<>()).put(run.address(), run);
    }
}
