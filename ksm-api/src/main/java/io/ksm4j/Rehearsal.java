package io.ksm4j;

import java.util.ArrayList;
import java.util.List;

/**
 * Goes the ways once that must load no class when they are taken in earnest.
 *
 * <p>A forgotten region may have to be reclaimed after a web container has stopped its class loader, which then refuses even classes of the JDK that were not
 * asked for before. And a process that has as many mappings as it may have dies where the JVM needs one more, as for loading classes; so the way from a
 * failed call to its exception must load none. What was loaded and linked once is there.
 */
final class Rehearsal extends LaterWork {

    private static final int PAGES = 4;

    private final Kernel kernel;

    Rehearsal(Kernel kernel) {
        super("ksm4j-rehearsal");
        this.kernel = kernel;
    }

    @Override
    void pause() throws InterruptedException {
        Thread.sleep(PAUSE_MILLIS);
    }

    @Override
    void work() {
        reclaim();
        fail();
    }

    /** In a table of its own, so that the regions appear nowhere. */
    private void reclaim() {
        RegionTable table = new RegionTable(RegionTable.newShared());
        RegionOptions options =
                RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withVerify(false);
        MappedMemory memory = MappedMemory.map(kernel, PAGES * kernel.pageSize, Linux.PROT_READ | Linux.PROT_WRITE);
        List<RegionState> regions = new ArrayList<>();
        boolean opened = false;
        try {
            AddressRange all = AddressRange.between(memory.start(), memory.end());
            AddressRange middle = new AddressRange(memory.start() + kernel.pageSize, kernel.pageSize);
            regions.add(RegionState.open(kernel, table, all, memory, null, null, options));
            opened = true;
            regions.add(RegionState.open(kernel, table, all, null, null, null, options));
            regions.add(RegionState.open(kernel, table, middle, null, () -> true, memory, options));
            for (RegionState region : regions) {
                region.markUnrecorded(true, Unmerge.UNCHECKED);
            }
            // Now it has parts.
            regions.get(1).markUnrecorded(middle.start(), middle.end(), false);
        } finally {
            // The memory goes last.
            for (int i = regions.size() - 1; i >= 0; i--) {
                regions.get(i).closeOrKeep();
            }
            if (!opened) {
                memory.unmap();
            }
        }
    }

    private void fail() {
        FailedCall mmap = new FailedCall("mmap of 1 bytes", null, Linux.ENOMEM);
        List<KsmException> failures = new ArrayList<>();
        failures.add(kernel.explain(mmap));
        failures.add(new MapCountExceededException(mmap, 1, 1));
        for (int errno : new int[] {Linux.ENOMEM, Linux.EAGAIN, Linux.EINVAL, Linux.EPERM}) {
            AddressRange unmapped = new AddressRange(kernel.pageSize, 1);
            failures.add(kernel.explain(Kernel.failedAdvice(Linux.MADV_MERGEABLE, unmapped, errno)));
        }
        Log.debug("rehearsed", failures.get(0));
    }

    @Override
    void failed(Throwable failure) {
        Log.debug("the way to reclaim forgotten regions could not be rehearsed", failure);
    }
}
