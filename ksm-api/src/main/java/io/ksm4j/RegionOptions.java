package io.ksm4j;

import java.util.Objects;

/**
 * How a region is opened. Start from {@link #DEFAULT} and change what differs:
 *
 * <pre>{@code
 * RegionOptions.DEFAULT.withName("prices").withHugePages(HugePages.AVOID)
 * }</pre>
 *
 * @param name shown by {@link MergeRegistry}, and in {@code /proc/self/maps} as {@code [anon:prices]} where the kernel can
 *     (Linux 5.17 with CONFIG_ANON_VMA_NAME); at most 79 printable ASCII characters without {@code [ ] \ $ `}, as {@code
 *     PR_SET_VMA_ANON_NAME} in prctl(2) demands; empty for none
 * @param marking whether the region starts mergeable
 * @param hugePages whether transparent huge pages may back allocated memory, which merging splits: see {@link HugePages};
 *     ignored for adopted memory
 * @param populate whether every page of allocated memory is there when {@code allocate} returns, or each on its first touch;
 *     ignored for adopted memory
 * @param guardPages whether an inaccessible page stands on each side of allocated memory. It keeps the kernel from joining
 *     the region with a neighbour, so that {@link MergeRegion#stats()} counts this region alone, and costs up to two more
 *     mappings of {@code vm.max_map_count}; ignored for adopted memory
 * @param verify whether every mark of adopted memory is looked up in {@code /proc/self/smaps}, because the kernel accepts
 *     advice on memory that can never merge. Looking costs milliseconds for each resident GiB of the process; allocated memory
 *     needs no look
 * @param unmerge what to do before merged pages are taken apart, by {@link MergeRegion#markUnmergeable()} and by {@link
 *     MergeRegion#close()} of adopted memory: see {@link Unmerge}. Closing allocated memory copies nothing
 */
public record RegionOptions(
        String name,
        Marking marking,
        HugePages hugePages,
        boolean populate,
        boolean guardPages,
        boolean verify,
        Unmerge unmerge) {

    /** No name, mergeable, huge pages as the system has them, pages on touch, guard pages, marks verified, unmerging checked. */
    public static final RegionOptions DEFAULT =
            new RegionOptions("", Marking.MERGEABLE, HugePages.SYSTEM_DEFAULT, false, true, true, Unmerge.CHECKED);

    private static final int MAX_NAME = 79;

    /**
     * Checks the name.
     *
     * @throws IllegalArgumentException if the kernel would not take the name
     */
    public RegionOptions {
        Objects.requireNonNull(name, "name");
        Objects.requireNonNull(marking, "marking");
        Objects.requireNonNull(hugePages, "hugePages");
        Objects.requireNonNull(unmerge, "unmerge");
        if (name.length() > MAX_NAME) {
            throw new IllegalArgumentException(
                    "name has " + name.length() + " characters, at most " + MAX_NAME + " are possible");
        }
        for (int i = 0; i < name.length(); i++) {
            char c = name.charAt(i);
            if (c < ' ' || c > '~' || "[]\\$`".indexOf(c) >= 0) {
                throw new IllegalArgumentException("name \"" + name + "\" has a character at " + i
                        + " that is not printable ASCII, or one of [ ] \\ $ `");
            }
        }
    }

    /**
     * A copy with another name.
     *
     * @param name see {@link #name()}
     * @return the copy
     * @throws IllegalArgumentException if the kernel would not take the name
     */
    public RegionOptions withName(String name) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * A copy with another start.
     *
     * @param marking see {@link #marking()}
     * @return the copy
     */
    public RegionOptions withMarking(Marking marking) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * A copy with another wish for huge pages.
     *
     * @param hugePages see {@link #hugePages()}
     * @return the copy
     */
    public RegionOptions withHugePages(HugePages hugePages) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * A copy that populates, or doesn't.
     *
     * @param populate see {@link #populate()}
     * @return the copy
     */
    public RegionOptions withPopulate(boolean populate) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * A copy with guard pages, or without.
     *
     * @param guardPages see {@link #guardPages()}
     * @return the copy
     */
    public RegionOptions withGuardPages(boolean guardPages) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * A copy that verifies marks, or doesn't.
     *
     * @param verify see {@link #verify()}
     * @return the copy
     */
    public RegionOptions withVerify(boolean verify) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }

    /**
     * A copy with another way to take merged pages apart.
     *
     * @param unmerge see {@link #unmerge()}
     * @return the copy
     */
    public RegionOptions withUnmerge(Unmerge unmerge) {
        return new RegionOptions(name, marking, hugePages, populate, guardPages, verify, unmerge);
    }
}
