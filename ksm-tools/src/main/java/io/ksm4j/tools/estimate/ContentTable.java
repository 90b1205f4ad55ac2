package io.ksm4j.tools.estimate;

import java.util.ArrayList;
import java.util.List;

/**
 * Counts how often processes have each content, known by a hash of 64 bits. Where there is no room for all, it keeps those whose hash
 * ends with some zero bits: all pages of such a content, or none. So what is counted is right for a sample of contents, and a sample of
 * contents, unlike one of pages, says how many there are. For one thread.
 */
final class ContentTable {

    /** Every entry is a hash, 0 if there is none, and a word for who has it. */
    private static final int ENTRY = 2;

    static final int ENTRY_BYTES = ENTRY * Long.BYTES;

    /** What one array holds. */
    static final int MAX_SLOTS = 1 << 29;

    /** Of the word: how many pages have it. */
    private static final long COUNT = 0xffff_ffffL;

    /** Of the word: more than one process has it. Above it stands the last one. */
    private static final long SHARED = 1L << 32;

    private static final int PROCESS_SHIFT = 33;

    private static final int LEVELS = Long.SIZE;

    private final long[] table;
    private final int slots;
    private final int shift;
    private final int limit;

    private int size;
    private int level;

    /** By the number of zero bits that hashes end with: how many contents there are. */
    private final long[] contents = new long[LEVELS];

    private final List<OfProcess> processes = new ArrayList<>();

    private static final class OfProcess {
        final long[] contents = new long[LEVELS];
        final long[] elsewhere = new long[LEVELS];
    }

    /**
     * What contents become.
     *
     * @param merged contents that are held several times
     * @param copies how many pages are kept of those
     * @param standardError of how many pages are kept of all contents: each is in the sample or not, independent of the others
     */
    record Groups(long merged, long copies, double standardError) {}

    /**
     * @param slots room, of which three quarters are used; a power of two from 4 to {@link #MAX_SLOTS}
     * @param level how many zero bits hashes must end with from the start
     */
    ContentTable(int slots, int level) {
        this.slots = slots;
        this.level = level;
        this.table = new long[slots * ENTRY];
        this.shift = Long.SIZE - Integer.numberOfTrailingZeros(slots);
        this.limit = slots - slots / 4;
    }

    /** Begins with the next process, the first of which is 0. */
    void nextProcess() {
        processes.add(new OfProcess());
    }

    /** Counts a page of the process it is at. */
    void add(long hashOfPage) {
        long hash = hashOfPage == 0 ? 1 : hashOfPage;
        int hashLevel = Long.numberOfTrailingZeros(hash);
        if (hashLevel < level) {
            return;
        }
        int process = processes.size() - 1;
        int at = find(hash);
        if (table[at] == 0) {
            table[at] = hash;
            table[at + 1] = (long) process << PROCESS_SHIFT | 1;
            contents[hashLevel]++;
            processes.get(process).contents[hashLevel]++;
            size++;
            while (size > limit) {
                level++;
                removeBelowLevel();
            }
            return;
        }
        long word = table[at + 1];
        int last = (int) (word >>> PROCESS_SHIFT);
        long shared = word & SHARED;
        if (last != process) {
            if (shared == 0) {
                processes.get(last).elsewhere[hashLevel]++;
                shared = SHARED;
            }
            processes.get(process).contents[hashLevel]++;
            processes.get(process).elsewhere[hashLevel]++;
        }
        table[at + 1] = (long) process << PROCESS_SHIFT | shared | Math.min((word & COUNT) + 1, COUNT);
    }

    /** Where the hash stands, or would. */
    private int find(long hash) {
        int at = (int) (hash >>> shift) * ENTRY;
        while (table[at] != 0 && table[at] != hash) {
            at = at + ENTRY & table.length - 1;
        }
        return at;
    }

    /** Puts each entry that stays where a search that begins at its home comes by first, beginning after a gap. */
    private void removeBelowLevel() {
        int gap = 0;
        while (table[gap] != 0) {
            gap += ENTRY;
        }
        for (int i = 1; i < slots; i++) {
            int at = gap + i * ENTRY & table.length - 1;
            long hash = table[at];
            if (hash == 0) {
                continue;
            }
            table[at] = 0;
            if (Long.numberOfTrailingZeros(hash) < level) {
                size--;
            } else {
                int home = find(hash);
                table[home] = hash;
                table[home + 1] = table[at + 1];
            }
        }
    }

    /** Of how many contents one is in the sample; 1 if all are. */
    long sampling() {
        return 1L << level;
    }

    /** How many contents there are, of pages of all processes. */
    long contents() {
        return estimate(contents);
    }

    /** How many contents a process has. */
    long contents(int process) {
        return estimate(processes.get(process).contents);
    }

    /** How many contents of a process another has, too. */
    long elsewhere(int process) {
        return estimate(processes.get(process).elsewhere);
    }

    private long estimate(long[] byLevel) {
        long sum = 0;
        for (int i = level; i < LEVELS; i++) {
            sum += byLevel[i];
        }
        return sum << level;
    }

    /** @param maxSharing how many mappings share a page at most */
    Groups groups(long maxSharing) {
        long merged = 0;
        long copies = 0;
        double squares = 0;
        for (int at = 0; at < table.length; at += ENTRY) {
            long count = table[at] == 0 ? 0 : table[at + 1] & COUNT;
            long kept = copies(count, maxSharing);
            squares += (double) kept * kept;
            if (count > 1) {
                merged++;
                copies += kept;
            }
        }
        // One content more may have been missed by chance, however few are in the sample.
        double error = Math.sqrt((squares + 1) * sampling() * (sampling() - 1));
        return new Groups(merged << level, copies << level, error);
    }

    /** How many pages stay of some equal ones. */
    static long copies(long pages, long maxSharing) {
        return (pages + maxSharing - 1) / maxSharing;
    }
}
