// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Pagemap;
import io.ksm4j.stats.KsmStats;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Unmarks the parts of regions that do not pay off, and tries them again later. {@code ksmd} scans everything that is
 * marked, again and again, and the kernel keeps a record of 64 bytes for each page of it; where most pages have no
 * equal one, the records may take more memory than merging saves.
 *
 * <pre>{@code
 * try (MergeGovernor governor = MergeGovernor.start(ksm, GovernorOptions.DEFAULT)) {
 *     governor.govern(cache);
 *     serve();
 * }
 * }</pre>
 *
 * <p>A governor decides about parts of 512 pages. It judges a part after {@link GovernorOptions#fullScans()} full scans
 * of {@code ksmd}, and unmarks it if
 *
 * <ul>
 *   <li>its merged pages save less memory than the records of all its pages take ({@link Reason#NOT_MERGED}), or
 *   <li>of its merged pages, more than half had been copied because they were written to, twice in a row
 *       ({@link Reason#COPIED}).
 * </ul>
 *
 * <p>It marks the part again after the same number of scans; each time that does not help, after twice as many as
 * before, up to 64 times. A part that has got much more data since it was judged last is judged later. Nothing is
 * judged while {@code ksmd} is stopped, while the number of full scans cannot be read, or while the whole process is
 * opted in.
 *
 * <p>While a region is governed, do not mark or unmark it; {@link #release} it first. Thread-safe.
 *
 * @see <a href="https://docs.kernel.org/admin-guide/mm/pagemap.html">pagemap</a>, which tells what is merged (bit 56)
 * @since 0.1.0
 */
public final class MergeGovernor implements AutoCloseable {

    /**
     * Why a part is unmarked.
     *
     * @since 0.1.0
     */
    public enum Reason {
        /** Its merged pages save less memory than the kernel's records of its pages take. */
        NOT_MERGED,
        /** Its merged pages are copied more often than they merge. */
        COPIED
    }

    /**
     * A part of a region that a governor has unmarked.
     *
     * @param range its addresses
     * @param owner the owner of the region: see {@link MergeRegion#owner()}
     * @param reason why
     * @since 0.1.0
     */
    public record Rest(AddressRange range, String owner, Reason reason) {}

    private final Kernel kernel;
    private final int patience;

    /** Guards the regions. */
    private final ReentrantLock lock = new ReentrantLock();

    private final Map<RegionState, GovernedRegion> regions = new LinkedHashMap<>();
    private final @Nullable RepeatedTask task;
    private boolean isClosed;

    /** Creates a governor that does nothing unless it is called. */
    MergeGovernor(Kernel kernel, GovernorOptions options) {
        this.kernel = kernel;
        this.patience = options.fullScans();
        this.task = options.interval().isZero()
                ? null
                : new RepeatedTask("ksm4j-governor", options.interval(), this::check);
    }

    /**
     * Starts a governor, with a daemon thread unless the interval is 0. The thread keeps the governor reachable until
     * it is closed.
     *
     * @param ksm the {@code Ksm} of the regions
     * @param options when to decide
     * @return a governor without regions
     */
    public static MergeGovernor start(Ksm ksm, GovernorOptions options) {
        MergeGovernor governor = new MergeGovernor(ksm.kernel(), options);
        if (governor.task != null) {
            governor.task.start();
        }
        return governor;
    }

    /**
     * Begins to decide about a region. Does nothing if the governor does already. A region that is closed is forgotten.
     *
     * @param region an open region, marked mergeable
     * @throws IllegalArgumentException if the region belongs to another {@code Ksm}
     * @throws IllegalStateException if the region or the governor is closed
     */
    public void govern(MergeRegion region) {
        RegionState state = stateOf(region);
        if (!state.isOpen()) {
            throw state.closedException();
        }
        govern(state);
    }

    void govern(RegionState state) {
        long fullScan = KsmStats.read().fullScans().orElse(0);
        lock.lock();
        try {
            requireOpen();
            regions.computeIfAbsent(state, added -> new GovernedRegion(added, fullScan));
        } finally {
            lock.unlock();
        }
    }

    /**
     * No longer decides about a region, and marks its unmarked parts again. Does nothing if the region is closed or not
     * governed.
     *
     * @param region the region
     * @throws IllegalArgumentException if the region belongs to another {@code Ksm}
     * @throws KsmException if a part cannot be marked. The region is still governed then
     */
    public void release(MergeRegion region) {
        RegionState state = stateOf(region);
        lock.lock();
        try {
            GovernedRegion governed = regions.get(state);
            if (governed != null) {
                governed.wake();
                regions.remove(state);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Forgets a region without marking its parts again. */
    void forget(RegionState state) {
        lock.lock();
        try {
            regions.remove(state);
        } finally {
            lock.unlock();
        }
    }

    private RegionState stateOf(MergeRegion region) {
        RegionState state = Objects.requireNonNull(region, "region").state();
        if (state.kernel != kernel) {
            throw new IllegalArgumentException("region " + state + " belongs to another Ksm");
        }
        return state;
    }

    /**
     * Judges the parts that are due now. The thread of the governor does this by itself.
     *
     * @throws IllegalStateException if the governor is closed
     * @throws KsmException if a part could not be marked or unmarked. All other parts are judged; the failed one is
     *     tried again later
     * @throws java.io.UncheckedIOException if {@code /proc/self/pagemap} cannot be read
     */
    public void check() {
        OptionalLong fullScan = KsmStats.read().fullScans();
        lock.lock();
        try {
            requireOpen();
            regions.keySet().removeIf(region -> !region.isOpen());
            if (fullScan.isEmpty() || regions.isEmpty() || kernel.recordsOnly || kernel.isOptedIn()) {
                return;
            }
            check(fullScan.getAsLong());
        } finally {
            lock.unlock();
        }
    }

    private void check(long fullScan) {
        KsmException failure = null;
        try (Pagemap pagemap = kernel.proc.pagemap(kernel.pageSize)) {
            for (GovernedRegion region : regions.values()) {
                try {
                    region.check(pagemap, fullScan, patience);
                } catch (KsmException e) {
                    failure = failure == null ? e : failure;
                }
            }
        } catch (IOException e) {
            throw kernel.proc.unreadable("self/pagemap", e);
        }
        if (failure != null) {
            throw failure;
        }
    }

    /**
     * Returns the parts that are unmarked now.
     *
     * @return a new list; parts of one region that touch and have the same reason are one
     */
    public List<Rest> resting() {
        lock.lock();
        try {
            List<Rest> resting = new ArrayList<>();
            regions.values().stream()
                    .filter(region -> region.state.isOpen())
                    .forEach(region -> resting.addAll(region.resting()));
            return resting;
        } finally {
            lock.unlock();
        }
    }

    private void requireOpen() {
        if (isClosed) {
            throw new IllegalStateException("the governor is closed");
        }
    }

    /**
     * Ends the governor, and marks the unmarked parts of all regions again. Closing it again does nothing.
     *
     * @throws KsmException if a part cannot be marked. All others are marked, and no region is governed any more
     */
    @Override
    public void close() {
        if (task != null) {
            task.stop();
        }
        KsmException failure = null;
        lock.lock();
        try {
            isClosed = true;
            for (GovernedRegion region : regions.values()) {
                try {
                    region.wake();
                } catch (KsmException e) {
                    if (failure == null) {
                        failure = e;
                    } else {
                        failure.addSuppressed(e);
                    }
                }
            }
            regions.clear();
        } finally {
            lock.unlock();
        }
        if (failure != null) {
            throw failure;
        }
    }
}
