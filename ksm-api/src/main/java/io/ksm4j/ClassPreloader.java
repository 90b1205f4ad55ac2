// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.ByteCount;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.linux.Linux;
import io.ksm4j.internal.management.BackgroundTask;
import io.ksm4j.internal.registry.RegionTable;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Runs the code once that must not load classes later, so that all classes it needs are loaded and linked.
 *
 * <ul>
 *   <li>Reclaiming a forgotten region. A web container may have stopped the class loader, which then refuses all
 *       classes that were not loaded through it before, even those of the JDK.
 *   <li>Turning a failed call into an exception. At the limit of mappings, a JVM dies if it needs one more mapping, for
 *       example to load a class.
 * </ul>
 */
final class ClassPreloader extends BackgroundTask {

    private static final int PAGES = 4;
    private static final RegionOptions OPTIONS =
            RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withVerify(false);

    private final Kernel kernel;

    ClassPreloader(Kernel kernel) {
        super("ksm4j-preload");
        this.kernel = kernel;
    }

    @Override
    protected void pause() throws InterruptedException {
        Thread.sleep(PAUSE_MILLIS);
    }

    @Override
    protected void work() {
        reclaim();
        fail();
    }

    /** Uses a table of its own, so that the regions appear nowhere. */
    private void reclaim() {
        RegionTable table = new RegionTable(RegionTable.newShared());
        MappedMemory memory = MappedMemory.map(kernel, PAGES * kernel.pageSize, Linux.PROT_READ | Linux.PROT_WRITE);
        AddressRange all = AddressRange.between(memory.start(), memory.end());
        AddressRange middle = new AddressRange(memory.start() + kernel.pageSize, kernel.pageSize);
        Deque<RegionState> regions = new ArrayDeque<>();
        try {
            // Opened first, since new memory detaches all regions in its range; closed last, since that unmaps it.
            regions.push(AllocatedState.open(kernel, table, all, memory, OPTIONS));
            regions.push(AdoptedState.open(kernel, table, middle, 0, () -> true, memory, OPTIONS));
            regions.peek().markUnrecorded(true, Unmerge.UNCHECKED);
            RegionState ends = AdoptedState.open(kernel, table, all, 0, null, null, OPTIONS);
            regions.push(ends);
            ends.markUnrecorded(true, Unmerge.UNCHECKED);
            ends.markUnrecorded(middle.start(), middle.end(), false);
            regions.push(AdoptedState.open(kernel, table, middle, 0, () -> true, memory, OPTIONS));
            regions.peek().markUnrecorded(true, Unmerge.UNCHECKED);
        } finally {
            if (regions.isEmpty()) {
                memory.unmap();
            }
            for (RegionState region : regions) {
                region.closeOrKeep();
            }
        }
    }

    private void fail() {
        // Fails, because the address is not that of a page. A backend may link what reports errno only now.
        kernel.advise(1, kernel.pageSize, Linux.MADV_MERGEABLE);
        FailedCall mmap = FailedCall.mmap(1, Linux.ENOMEM);
        List<KsmException> failures = new ArrayList<>();
        failures.add(kernel.explain(mmap));
        failures.add(kernel.explain(FailedCall.mmap(1, Linux.EAGAIN)));
        failures.add(new MapCountExceededException(mmap, 1, 1));
        failures.add(new MemoryLimitExceededException(mmap, "", 1, ByteCount.text(1 << 20)));
        for (int errno : new int[] {Linux.ENOMEM, Linux.EAGAIN, Linux.EINVAL, Linux.EPERM}) {
            AddressRange unmapped = new AddressRange(kernel.pageSize, 1);
            FailedCall mark = FailedCall.madvise(Linux.MADV_MERGEABLE, unmapped, errno);
            failures.add(kernel.explain(mark));
            failures.add(
                    new UnmappedRangeException(mark, List.of(unmapped), new AddressRange(kernel.pageSize, 2), false));
        }
        Log.debug("loaded the classes for failures", failures.get(0));
    }

    @Override
    protected void failed(Throwable failure) {
        Log.debug("could not load the classes that reclaim forgotten regions", failure);
    }
}
