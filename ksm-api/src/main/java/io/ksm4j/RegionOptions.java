// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import java.util.Objects;

/**
 * How to open a region. Start from {@link #DEFAULT} and change individual options:
 *
 * <pre>{@code
 * RegionOptions.DEFAULT.withName("prices").withHugePages(HugePages.AVOID)
 * }</pre>
 *
 * @param name the owner name shown by {@link MergeRegistry}, and in {@code /proc/self/maps} as {@code [anon:prices]} if
 *     the kernel supports that (Linux 5.17 with CONFIG_ANON_VMA_NAME). At most 79 printable ASCII characters other than
 *     {@code [ ] \ $ `}, as {@code PR_SET_VMA_ANON_NAME} in prctl(2) requires; empty for no name
 * @param marking whether the region is marked mergeable when it is opened
 * @param hugePages whether allocated memory may be backed by transparent huge pages, which merging splits; see
 *     {@link HugePages}. Ignored for adopted memory
 * @param populate whether all pages of allocated memory are present when {@code allocate} returns, instead of each one
 *     being created on first access. Ignored for adopted memory
 * @param guardPages whether to put an inaccessible page on each side of allocated memory. Guard pages keep the kernel
 *     from joining the region with a neighbouring mapping, so that {@link MergeRegion#stats()} covers this region
 *     alone. They use up to two more of the {@code vm.max_map_count} mappings. Ignored for adopted memory
 * @param verify whether to verify every mark of adopted memory in {@code /proc/self/smaps}, because the kernel accepts
 *     the advice for memory that can never merge. Verifying costs milliseconds per resident GiB of the process.
 *     Allocated memory is not verified, because it can always merge
 * @param unmerge how to check for memory before {@link MergeRegion#markUnmergeable()}, or {@link MergeRegion#close()}
 *     of adopted memory, copies merged pages; see {@link Unmerge}. Closing allocated memory copies nothing
 * @since 0.1.0
 */
public record RegionOptions(
        String name,
        Marking marking,
        HugePages hugePages,
        boolean populate,
        boolean guardPages,
        boolean verify,
        Unmerge unmerge) {

    /**
     * The default options: no name, marked mergeable, huge pages as the system is configured, pages created on first
     * access, guard pages, verified marks, and {@link Unmerge#CHECKED}.
     */
    public static final RegionOptions DEFAULT =
            new RegionOptions("", Marking.MERGEABLE, HugePages.SYSTEM_DEFAULT, false, true, true, Unmerge.CHECKED);

    private static final int MAX_NAME_LENGTH = 79;

    /**
     * Creates options from values for all of them.
     *
     * @throws IllegalArgumentException if the name is too long or contains a character that is not allowed
     */
    public RegionOptions {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(marking, "marking");
        Objects.requireNonNull(hugePages, "hugePages");
        Objects.requireNonNull(unmerge, "unmerge");
        if (name.length() > MAX_NAME_LENGTH) {
            throw new IllegalArgumentException(
                    "name has " + name.length() + " characters, but the maximum is " + MAX_NAME_LENGTH);
        }
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            if (c < ' ' || c > '~' || "[]\\$`".indexOf(c) >= 0) {
                throw new IllegalArgumentException(
                        "name \"" + name + "\" has a character that is not allowed, at index " + i
                                + ": use printable ASCII other than [ ] \\ $ `");
            }
        }
    }

    /**
     * Returns a copy with the given name.
     *
     * @param name see {@link #name()}
     * @return the copy
     * @throws IllegalArgumentException if the name is too long or contains a character that is not allowed
     */
    public RegionOptions withName(String name) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * Returns a copy with the given initial marking.
     *
     * @param marking see {@link #marking()}
     * @return the copy
     */
    public RegionOptions withMarking(Marking marking) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * Returns a copy with the given huge page policy.
     *
     * @param hugePages see {@link #hugePages()}
     * @return the copy
     */
    public RegionOptions withHugePages(HugePages hugePages) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * Returns a copy that does or does not populate memory.
     *
     * @param populate see {@link #populate()}
     * @return the copy
     */
    public RegionOptions withPopulate(boolean populate) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * Returns a copy with or without guard pages.
     *
     * @param guardPages see {@link #guardPages()}
     * @return the copy
     */
    public RegionOptions withGuardPages(boolean guardPages) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * Returns a copy that does or does not verify marks.
     *
     * @param verify see {@link #verify()}
     * @return the copy
     */
    public RegionOptions withVerify(boolean verify) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * Returns a copy with the given unmerge mode.
     *
     * @param unmerge see {@link #unmerge()}
     * @return the copy
     */
    public RegionOptions withUnmerge(Unmerge unmerge) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }
}
