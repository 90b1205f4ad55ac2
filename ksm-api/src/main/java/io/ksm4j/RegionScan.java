// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.linux.Pagemap;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.internal.management.SharedTable;
import io.ksm4j.internal.registry.Slot;
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalLong;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Counts the memory in each of many ranges, in one pass over {@code smaps}.
 *
 * <p>The kernel reports one count per mapping, and adjacent mappings with equal flags are one mapping. Where a range
 * ends inside a mapping, the mapping is split for the duration of a second pass: {@code MADV_RANDOM} and
 * {@code MADV_SEQUENTIAL} give each piece another flag than its neighbors have. They touch no page; for private
 * memory, all they could change in these milliseconds is read-ahead from a file or from swap. The previous advice is
 * restored afterwards.
 */
final class RegionScan {

    /** How many times a pass is repeated because other threads have changed the mappings. */
    static final int ATTEMPTS = 20;

    /**
     * A part of a mapping that must become a mapping of its own to be counted.
     *
     * @param readAdvice the advice of the mapping
     * @param before the advice of the memory before it, unless that is a piece as well; {@link #NONE} if it does not
     *     matter
     * @param behind the advice of the memory behind it, in the same way
     */
    private record Piece(long from, long to, int readAdvice, int before, int behind) {

        static final int NONE = -1;

        /**
         * Returns an advice for each piece that differs from those on both sides of it. There are three kinds of
         * advice, so a piece that differs from the one before it can still differ from the one behind it, as in
         * coloring a path with three colors.
         */
        static int[] advice(List<Piece> pieces) {
            int[] advice = new int[pieces.size()];
            for (int i = 0; i < advice.length; i++) {
                Piece piece = pieces.get(i);
                boolean follows = i > 0 && pieces.get(i - 1).to() == piece.from();
                int before = follows ? advice[i - 1] : piece.before();
                advice[i] = Linux.MADV_NORMAL;
                while (advice[i] == before || advice[i] == piece.behind()) {
                    advice[i]++;
                }
            }
            return advice;
        }
    }

    /** A region that must stay open while a mapping is split, and its range. */
    record Owner(Slot slot, AddressRange range) {}

    private final Kernel kernel;
    private final Collection<Owner> owners;

    /** The starts and ends of all ranges in order, each address once. Two adjacent ones bound an atom. */
    private final long[] bounds;

    /** Whether each atom belongs to a range, or lies between two. */
    private final boolean[] covered;

    private final Counts[] atoms;

    /**
     * The pieces of mappings that extend over several atoms, as far as they are in ranges. Nothing of these mappings
     * was counted.
     */
    private final List<Piece> joined = new ArrayList<>();

    /** The position of the pass: the atom that contains the start of the mapping, or the one behind it. */
    private int atom;

    /** Whether a mapping of interest was printed twice in one pass. */
    private boolean readTwice;

    /** Whether the last pass counted everything. */
    private boolean isCounted;

    private OptionalLong ksmZeroBytes = OptionalLong.empty();

    /** The counts of an atom, in bytes. */
    static final class Counts {
        long resident;
        long marked;
        long merged;
        long huge;
        long saved;

        /** Includes zero pages, which are not resident. Counted only if the process has any. */
        long present;

        boolean mergedReported = true;

        /** Adds a whole mapping. */
        void add(Smaps mapping) {
            resident += mapping.rss;
            marked += mapping.mergeable ? mapping.end - mapping.start : 0;
            merged += Math.max(mapping.ksm, 0);
            huge += mapping.huge;
            saved += savedBytes(mapping);
            mergedReported &= mapping.ksm >= 0;
        }

        void add(Counts other) {
            resident += other.resident;
            marked += other.marked;
            merged += other.merged;
            huge += other.huge;
            saved += other.saved;
            present += other.present;
            mergedReported &= other.mergedReported;
        }

        /**
         * Returns the memory that merging saves. Processes that map the same file share its page-cache pages as well;
         * that is not counted, because merging does not save it.
         */
        private static long savedBytes(Smaps mapping) {
            return Math.min(mapping.rss - mapping.pss, mapping.ksm >= 0 ? mapping.ksm : mapping.anonymous);
        }

        /**
         * @param ksmZeroBytes the memory that {@code ksmd} has replaced by zero pages in the whole process, if the
         *     kernel reports it
         */
        RegionStats toStats(OptionalLong ksmZeroBytes) {
            return new RegionStats(
                    resident,
                    marked,
                    mergedReported ? OptionalLong.of(merged) : OptionalLong.empty(),
                    ksmZeroBytes.isEmpty()
                            ? ksmZeroBytes
                            : OptionalLong.of(Math.min(ksmZeroBytes.getAsLong(), Math.max(0, present - resident))),
                    huge,
                    saved);
        }
    }

    /**
     * @param owners the regions that the ranges belong to, each once
     */
    RegionScan(Kernel kernel, Collection<AddressRange> ranges, Collection<Owner> owners) {
        this.kernel = kernel;
        this.owners = owners;
        this.bounds = ranges.stream()
                .flatMapToLong(range -> Arrays.stream(new long[] {range.start(), range.end()}))
                .sorted()
                .distinct()
                .toArray();
        this.atoms = new Counts[bounds.length];
        this.covered = new boolean[bounds.length];
        int[] opened = new int[bounds.length + 1];
        for (AddressRange range : ranges) {
            opened[indexOf(range.start())]++;
            opened[indexOf(range.end())]--;
        }
        int open = 0;
        for (int i = 0; i < bounds.length; i++) {
            open += opened[i];
            covered[i] = open > 0;
        }
    }

    /**
     * Counts the memory in all ranges.
     *
     * @return null, or a region that was closed during the scan; then nothing is counted
     * @throws MapCountExceededException if a mapping must be split and the process has too many
     */
    @Nullable
    Slot run() {
        if (!pass()) {
            // Only one thread of the JVM at a time, regardless of its class loader: others would mistake the split
            // mappings for joined ones.
            StackRoom.requireForOpening();
            Backoff.lock(SharedTable.table().splitTurn);
            try {
                Slot closed = runApart();
                if (closed != null) {
                    return closed;
                }
            } finally {
                SharedTable.table().splitTurn.unlock();
            }
        }
        countPresent();
        return null;
    }

    private @Nullable Slot runApart() {
        for (int attempt = 0; !pass(); attempt++) {
            if (attempt == ATTEMPTS) {
                throw tooFast(bounds[0]);
            }
            Slot[] touched = slotsOver(joined);
            // Anything that may wait, if only for a lock of the JDK, comes before the regions are owned.
            try (Smaps mappings = kernel.proc.openSmaps()) {
                // Threads that close or change one of these regions wait, so no other memory takes its place.
                Slot closed = SharedTable.table().acquire(touched);
                if (closed != null) {
                    return closed;
                }
                FailedCall failed;
                try {
                    failed = split(mappings);
                } finally {
                    Slot.release(touched);
                }
                if (isCounted) {
                    return null;
                }
                // ENOMEM: the owner of adopted memory has unmapped some of it since the last pass.
                if (failed != null && failed.errno() != Linux.ENOMEM) {
                    throw kernel.explain(failed);
                }
            }
        }
        return null;
    }

    static KsmException tooFast(long address) {
        return new KsmException("the mappings from " + Long.toHexString(address)
                + " on change too fast to count them: try again, or allocate regions with guard pages");
    }

    private Slot[] slotsOver(List<Piece> pieces) {
        NavigableMap<Long, Piece> byStart = new TreeMap<>();
        pieces.forEach(piece -> byStart.put(piece.from(), piece));
        return owners.stream()
                .filter(owner -> {
                    Map.Entry<Long, Piece> last =
                            byStart.lowerEntry(owner.range().end());
                    return last != null && last.getValue().to() > owner.range().start();
                })
                .map(Owner::slot)
                .toArray(Slot[]::new);
    }

    /**
     * Counts present pages: zero pages are present but not resident. Does nothing if {@code ksmd} has replaced no pages
     * by zero pages.
     */
    private void countPresent() {
        ksmZeroBytes = kernel.ksmZeroBytes();
        if (ksmZeroBytes.orElse(0) == 0) {
            return;
        }
        try (Pagemap pagemap = kernel.proc.pagemap(kernel.pageSize)) {
            for (int i = 0; i + 1 < bounds.length; i++) {
                if (covered[i]) {
                    atoms[i].present = pagemap.presentBytes(bounds[i], bounds[i + 1]);
                }
            }
        } catch (IOException e) {
            throw kernel.proc.unreadable("self/pagemap", e);
        }
    }

    /**
     * Reads all mappings, counts them, and finds the {@link #joined} pieces.
     *
     * @return whether everything was counted
     */
    private boolean pass() {
        try (Smaps mappings = kernel.proc.openSmaps()) {
            return pass(mappings);
        }
    }

    private boolean pass(Smaps mapping) {
        for (int i = 0; i < atoms.length; i++) {
            atoms[i] = new Counts();
        }
        joined.clear();
        readTwice = false;
        atom = 0;
        long last = bounds[bounds.length - 1];
        int adviceBefore = Piece.NONE;
        try {
            // The kernel walks the page tables of every mapping it prints, so reading stops behind the last range.
            boolean isBehind = false;
            while (!isBehind && mapping.next()) {
                int known = joined.size();
                isBehind = mapping.start >= last;
                if (!isBehind && mapping.end > bounds[0]) {
                    count(mapping, mapping.previousEnd == mapping.start ? adviceBefore : Piece.NONE);
                }
                setBehind(known, mapping);
                adviceBefore = mapping.readAdvice;
            }
        } catch (IOException e) {
            throw kernel.proc.unreadable("self/smaps", e);
        }
        return joined.isEmpty() && !readTwice;
    }

    private void count(Smaps mapping, int adviceBefore) {
        while (bounds[atom + 1] <= mapping.start) {
            atom++;
        }
        boolean inOne = bounds[atom] <= mapping.start && mapping.end <= bounds[atom + 1];
        if (inOne && !covered[atom]) {
            return;
        }
        readTwice |= mapping.isReadTwice();
        if (inOne) {
            atoms[atom].add(mapping);
        } else {
            addJoined(mapping, adviceBefore);
        }
    }

    private void addJoined(Smaps mapping, int adviceBefore) {
        for (int i = atom; i + 1 < bounds.length && bounds[i] < mapping.end; i++) {
            long from = Math.max(bounds[i], mapping.start);
            long to = Math.min(bounds[i + 1], mapping.end);
            if (!covered[i] || from >= to) {
                continue;
            }
            if (mapping.rss == 0) {
                atoms[i].marked += mapping.mergeable ? to - from : 0;
            } else {
                joined.add(new Piece(
                        from,
                        to,
                        mapping.readAdvice,
                        from == mapping.start ? adviceBefore : mapping.readAdvice,
                        to == mapping.end || isPiece(i + 1) ? Piece.NONE : mapping.readAdvice));
            }
        }
    }

    private boolean isPiece(int atom) {
        return atom + 1 < bounds.length && covered[atom];
    }

    /** Records in the piece before a mapping the advice of what is behind it, unless that is a piece as well. */
    private void setBehind(int pieces, Smaps mapping) {
        if (pieces == 0 || joined.get(pieces - 1).to() != mapping.start) {
            return;
        }
        if (pieces == joined.size() || joined.get(pieces).from() != mapping.start) {
            Piece piece = joined.get(pieces - 1);
            joined.set(
                    pieces - 1,
                    new Piece(piece.from(), piece.to(), piece.readAdvice(), piece.before(), mapping.readAdvice));
        }
    }

    /**
     * Counts while each piece is a mapping of its own. All advice is restored afterwards.
     *
     * @return the call that failed to split a piece off, or null
     */
    private @Nullable FailedCall split(Smaps mappings) {
        isCounted = false;
        List<Piece> pieces = List.copyOf(joined);
        int[] advice = Piece.advice(pieces);
        int split = 0;
        try {
            for (; split < advice.length; split++) {
                Piece piece = pieces.get(split);
                int errno = kernel.advise(piece.from(), piece.to() - piece.from(), advice[split]);
                if (errno != 0) {
                    split++;
                    return FailedCall.madvise(advice[split - 1], AddressRange.between(piece.from(), piece.to()), errno);
                }
            }
            isCounted = pass(mappings);
            return null;
        } finally {
            for (int i = 0; i < split; i++) {
                Piece piece = pieces.get(i);
                kernel.advise(piece.from(), piece.to() - piece.from(), piece.readAdvice());
            }
        }
    }

    /** Returns the statistics of one of the ranges. */
    RegionStats statsOf(AddressRange range) {
        return countsOf(range).toStats(ksmZeroBytes);
    }

    Counts countsOf(AddressRange range) {
        Counts sum = new Counts();
        for (int i = indexOf(range.start()); bounds[i] < range.end(); i++) {
            sum.add(atoms[i]);
        }
        return sum;
    }

    private int indexOf(long bound) {
        return Arrays.binarySearch(bounds, bound);
    }
}
