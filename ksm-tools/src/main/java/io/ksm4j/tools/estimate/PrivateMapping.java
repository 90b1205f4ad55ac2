// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.internal.linux.NativeMappings;
import io.ksm4j.internal.linux.NativeMappings.Range;
import io.ksm4j.tools.linux.Mapping;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * A mapping with pages that {@code ksmd} could merge: private, neither of devices nor of hugetlbfs, with pages not
 * backed by a file.
 *
 * @param start its first address
 * @param end the address after its last
 * @param anonymous bytes in memory that are not backed by a file
 * @param huge how many of those are in huge pages
 * @param marked whether they are already mergeable
 */
record PrivateMapping(long start, long end, long anonymous, long huge, boolean marked) {

    /**
     * What the kernel rejects (ksm_compatible in mm/ksm.c), with the names of proc_pid_smaps(5): shared, may share,
     * I/O, do not expand, page frames only, mixed map, hugetlb, droppable.
     */
    private static final Set<String> NOT_MERGEABLE = Set.of("sh", "ms", "io", "de", "pf", "mm", "ht", "dp");

    /**
     * Reads the mappings of a process by ascending addresses. A kernel thread or a zombie has none.
     *
     * @throws IOException if the file cannot be read or has unexpected content
     */
    static List<PrivateMapping> read(Path smaps) throws IOException {
        return Mapping.read(smaps).stream()
                .filter(mapping -> mapping.anonymous() > 0
                        && mapping.permissions().endsWith("p")
                        && mapping.flags().stream().noneMatch(NOT_MERGEABLE::contains))
                .map(mapping -> new PrivateMapping(
                        mapping.start(),
                        mapping.end(),
                        mapping.anonymous(),
                        mapping.huge(),
                        mapping.flags().contains("mg")))
                .toList();
    }

    /** Returns the parts of this mapping in ranges, which are in order of address. A part has at most its own size. */
    List<PrivateMapping> in(List<Range> ranges) {
        return NativeMappings.common(List.of(new Range(start, end)), ranges).stream()
                .map(part -> new PrivateMapping(
                        part.start(),
                        part.end(),
                        Math.min(anonymous, part.length()),
                        Math.min(huge, part.length()),
                        marked))
                .toList();
    }
}
