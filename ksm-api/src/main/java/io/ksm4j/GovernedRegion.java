// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.MergeGovernor.Reason;
import io.ksm4j.MergeGovernor.Rest;
import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.linux.Pagemap;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A region whose marks a {@link MergeGovernor} decides about, in parts of 512 pages:
 *
 * <pre>
 *            saves less than its records cost, or was copied
 *            +------------------------------------------------+
 *            |                                                v
 *          ACTIVE                                           RESTING
 *      judged after n scans                       unmarked for n * 2^failures scans
 *            ^                                                |
 *            +------------------------------------------------+
 *                            is marked again
 * </pre>
 *
 * <p>The number of failures returns to 0 when a part pays off, so the rest of a part that never does gets longer:
 * exponential backoff. Not thread-safe.
 */
final class GovernedRegion {

    static final int PAGES_PER_PART = 512;
    private static final int WORDS_PER_PART = PAGES_PER_PART / Long.SIZE;

    /** {@code sizeof(struct ksm_rmap_item)}: what {@code ksmd} keeps for each page it has scanned. */
    private static final int RECORD_BYTES = 64;

    private static final int MAX_FAILURES = 6;

    final RegionState state;
    private final int pageSize;
    private final Part[] parts;

    private static final class Part {
        /** The full scan in which the part was marked, judged or unmarked. */
        long since;

        int failures;

        /** How often in a row most of its merged pages had been copied, not counting when it had none. */
        int copied;

        int present;

        /** The pages that were merged when the part was judged; null if none was. */
        long @Nullable [] merged;

        /** Why the part rests; null if it is active. */
        @Nullable
        Reason rests;
    }

    GovernedRegion(RegionState state, long fullScan) {
        this.state = state;
        this.pageSize = (int) state.kernel.pageSize;
        long partSize = (long) PAGES_PER_PART * pageSize;
        this.parts = new Part[Math.toIntExact((state.range.length() + partSize - 1) / partSize)];
        for (int i = 0; i < parts.length; i++) {
            parts[i] = new Part();
            parts[i].since = fullScan;
        }
    }

    private long startOf(int part) {
        return state.range.start() + (long) part * PAGES_PER_PART * pageSize;
    }

    private long endOf(int part) {
        return Math.min(startOf(part + 1), state.range.end());
    }

    private int pagesOf(int part) {
        return (int) ((endOf(part) - startOf(part)) / pageSize);
    }

    /**
     * Judges the parts that are due.
     *
     * @throws KsmException if parts cannot be marked or unmarked. They are tried again when they are due next; all
     *     others have been judged
     */
    void check(Pagemap pagemap, long fullScan, int patience) throws IOException {
        long[] present = new long[WORDS_PER_PART];
        long[] merged = new long[WORDS_PER_PART];
        @Nullable Reason[] verdicts = new Reason[parts.length];
        boolean[] retried = new boolean[parts.length];
        for (int i = 0; i < parts.length; i++) {
            Part part = parts[i];
            if (part.rests == null && fullScan - part.since >= patience) {
                pagemap.read(startOf(i), pagesOf(i), present, merged);
                verdicts[i] = judge(part, count(present, null), merged);
                part.since = fullScan;
            } else if (part.rests != null && fullScan - part.since >= restOf(part, patience)) {
                retried[i] = true;
                part.since = fullScan;
            }
        }
        KsmException failure = null;
        for (int from = 0, to; from < parts.length; from = to) {
            to = from + 1;
            while (to < parts.length && verdicts[to] == verdicts[from] && retried[to] == retried[from]) {
                to++;
            }
            try {
                if (verdicts[from] != null) {
                    rest(from, to, verdicts[from], patience);
                } else if (retried[from]) {
                    markAgain(from, to);
                }
            } catch (KsmException e) {
                failure = failure == null ? e : failure;
            } catch (IllegalStateException e) {
                Log.debug("the region was closed, or contains memory that must not merge", e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    private static long restOf(Part part, int patience) {
        return (long) patience << Math.min(part.failures, MAX_FAILURES);
    }

    /** {@return why an active part should rest; null if it should not} */
    private @Nullable Reason judge(Part part, int present, long[] merged) {
        boolean isBeingFilled = present > part.present + part.present / 8;
        part.present = present;
        int now = count(merged, null);
        int lost = part.merged == null ? 0 : count(part.merged, merged);
        // A page that is merged for the share s of the time was copied in 1 - s of all cases.
        boolean isCopied = lost > 0 && lost * 2 > now;
        if (isCopied || part.merged != null) {
            part.copied = isCopied ? part.copied + 1 : 0;
        }
        part.merged = now == 0 ? null : merged.clone();
        if (part.copied > 1) {
            return Reason.COPIED;
        }
        if (isBeingFilled || part.copied > 0 || (long) now * pageSize > (long) present * RECORD_BYTES) {
            part.failures = now == 0 ? part.failures : 0;
            return null;
        }
        return present == 0 ? null : Reason.NOT_MERGED;
    }

    /** Counts the bits that are set in one array and, if there is another, clear in that. */
    private static int count(long[] set, long @Nullable [] clear) {
        int count = 0;
        for (int i = 0; i < set.length; i++) {
            count += Long.bitCount(clear == null ? set[i] : set[i] & ~clear[i]);
        }
        return count;
    }

    private void rest(int from, int to, Reason reason, int patience) {
        mark(from, to, false);
        for (int i = from; i < to; i++) {
            Part part = parts[i];
            part.rests = reason;
            part.merged = null;
            part.copied = 0;
        }
        if (JdkModules.FLIGHT_RECORDER) {
            RegionEvents.recordRest(rangeOf(from, to), state.owner, reason.name(), restOf(parts[from], patience));
        }
    }

    private void markAgain(int from, int to) {
        mark(from, to, true);
        for (int i = from; i < to; i++) {
            parts[i].rests = null;
            parts[i].failures++;
        }
    }

    private void mark(int from, int to, boolean mergeable) {
        MarkChange.applyUnrecorded(
                List.of(new MarkChange.Part(state, startOf(from), endOf(to - 1))), mergeable, state.unmerge);
    }

    private AddressRange rangeOf(int from, int to) {
        return AddressRange.between(startOf(from), endOf(to - 1));
    }

    /**
     * Marks all parts that rest.
     *
     * @throws KsmException if some cannot be marked; all others are
     */
    void wake() {
        KsmException failure = null;
        for (int from = 0, to; from < parts.length; from = to) {
            to = from + 1;
            while (to < parts.length && (parts[to].rests == null) == (parts[from].rests == null)) {
                to++;
            }
            try {
                if (parts[from].rests != null) {
                    markAgain(from, to);
                }
            } catch (KsmException e) {
                failure = failure == null ? e : failure;
            } catch (IllegalStateException e) {
                Log.debug("the region was closed, or contains memory that must not merge", e);
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    /** Returns the parts that rest; those that touch and rest for the same reason as one. */
    List<Rest> resting() {
        List<Rest> resting = new ArrayList<>();
        for (int from = 0, to; from < parts.length; from = to) {
            to = from + 1;
            Reason reason = parts[from].rests;
            if (reason != null) {
                while (to < parts.length && parts[to].rests == reason) {
                    to++;
                }
                resting.add(new Rest(rangeOf(from, to), state.owner, reason));
            }
        }
        return resting;
    }
}
