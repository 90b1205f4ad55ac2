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
 * Counts what lies in each of many ranges, in one pass over {@code smaps}.
 *
 * <p>The kernel counts by mapping, and neighbouring mappings with equal flags are one mapping. Where a range ends inside a mapping,
 * the mapping is split for the time of a second pass: by {@code MADV_RANDOM} and {@code MADV_SEQUENTIAL}, of which each piece gets
 * another than its neighbours. They change a flag of the mapping and touch no page; all they could do to private memory in these
 * milliseconds is to change what is read ahead from a file or from swap. What was there before is put back.
 */
final class RegionScan {

    /** How often others may change the mappings while they are being read. */
    static final int ATTEMPTS = 20;

    /**
     * A part of a mapping that must be a mapping of its own to be counted.
     *
     * @param readAdvice what the mapping has
     * @param before what the memory before it has, unless that is a piece too; {@link #NONE} where that makes no difference
     * @param behind what the memory behind it has, in the same way
     */
    private record Piece(long from, long to, int readAdvice, int before, int behind) {

        static final int NONE = -1;

        /**
         * An advice for each piece by which it differs from what is on both sides of it. There are three advices, so a piece that differs from the
         * one before it can still differ from what is behind it: that is how a path is coloured with three colours.
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

    /** A region that must stay open while a mapping is split, and where it is. */
    record Owner(Slot slot, AddressRange range) {}

    private final Kernel kernel;
    private final Collection<Owner> owners;

    /** Where ranges start and end, in order, each address once. Between two of them lies an atom. */
    private final long[] bounds;

    /** Whether an atom belongs to a range or lies between two. */
    private final boolean[] covered;

    private final Counts[] atoms;

    /** Of mappings that belong to several atoms the pieces in ranges. Nothing of these was counted. */
    private final List<Piece> joined = new ArrayList<>();

    /** Where a pass is: the atom that the mapping begins in, or the one after it. */
    private int atom;

    /** Whether a mapping of interest was printed twice in a pass. */
    private boolean readTwice;

    /** Whether the last pass has counted everything. */
    private boolean isCounted;

    private OptionalLong ksmZeroBytes = OptionalLong.empty();

    /** What is counted in an atom, in bytes. */
    static final class Counts {
        long resident;
        long marked;
        long merged;
        long huge;
        long saved;

        /** With pages of zeros, which are not resident. Counted only if there are some. */
        long present;

        boolean mergedTold = true;

        /** Adds a whole mapping. */
        void add(Smaps mapping) {
            resident += mapping.rss;
            marked += mapping.mergeable ? mapping.end - mapping.start : 0;
            merged += Math.max(mapping.ksm, 0);
            huge += mapping.huge;
            saved += savedBytes(mapping);
            mergedTold &= mapping.ksm >= 0;
        }

        void add(Counts other) {
            resident += other.resident;
            marked += other.marked;
            merged += other.merged;
            huge += other.huge;
            saved += other.saved;
            present += other.present;
            mergedTold &= other.mergedTold;
        }

        /** Pages of the page cache are shared, too, by whoever maps the file; that is nothing merging has saved. */
        private static long savedBytes(Smaps mapping) {
            return Math.min(mapping.rss - mapping.pss, mapping.ksm >= 0 ? mapping.ksm : mapping.anonymous);
        }

        /**
         * @param ksmZeroBytes what {@code ksmd} has replaced by pages of zeros in the whole process, if the kernel tells
         */
        RegionStats toStats(OptionalLong ksmZeroBytes) {
            return new RegionStats(
                    resident,
                    marked,
                    mergedTold ? OptionalLong.of(merged) : OptionalLong.empty(),
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
     * Counts.
     *
     * @return null, or a region that was closed meanwhile: then nothing is counted
     * @throws MapCountExceededException if a mapping must be split and the process has too many
     */
    @Nullable
    Slot run() {
        if (!pass()) {
            // One thread at a time, whichever class loader it comes from: others would take the split mappings for
            // joined ones.
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
            // What may wait, be it for a lock of the JDK's own, comes before the regions are owned.
            try (Smaps mappings = kernel.proc.openSmaps()) {
                // A thread that closes or changes one of these regions waits, so that nothing else takes its place.
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
                + " on change too fast to be counted: try again, or allocate regions with guard pages");
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

    /** Pages of zeros are present and not resident. There is nothing to count where {@code ksmd} has made none. */
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
     * Reads all mappings, and finds the {@link #joined} ones.
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

    /** Tells the piece before a mapping what is behind it, unless that is a piece, too. */
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
     * Counts while each piece is a mapping of its own; afterwards all advice is as it was.
     *
     * @return the call that failed to make one so, or null
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

    /** What was counted in one of the ranges. */
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
