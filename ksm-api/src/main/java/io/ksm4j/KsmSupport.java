// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.stats.Finding;
import java.util.List;

/**
 * What this machine supports, and what prevents merging. See {@link Ksm#support()}.
 *
 * @param backend the name of the backend that was used for the check
 * @param canMark whether this process can mark memory mergeable, tested on a page of its own
 * @param canMerge whether marked pages will merge: {@code canMark}, and {@code ksmd} is running
 * @param obstacles everything that prevents merging; empty if {@code canMerge}
 * @since 0.1.0
 */
public record KsmSupport(String backend, boolean canMark, boolean canMerge, List<Finding> obstacles) {

    /** Creates a result with an unmodifiable copy of the list. */
    public KsmSupport {
        obstacles = List.copyOf(obstacles);
    }
}
