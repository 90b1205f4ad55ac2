// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.Unmerge;
import io.ksm4j.UnmergeRefusedException;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.MemoryCgroup;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import org.junit.jupiter.api.Test;

/** Unmerging pages under a real memory limit is refused before the OOM killer is invoked. */
@OnlyIn({Situation.PLAIN, Situation.SMALL})
@EnabledIfKsm(control = true)
final class Unmerging {

    private static final long MERGED = 64L << 20;

    /** The headroom below the limit, of which 16 MiB are a reserve. */
    private static final long ROOM = 32L << 20;

    /** Waits until memory is merged, and then unmerges it. */
    static final class Program {

        private Program() {}

        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Backend.ksm();
            PageContents content = PageContents.unique(ksm.pageSize());
            try (MergeRegion region = ksm.allocate(MERGED, Merging.SMALL_PAGES)) {
                long contents = Child.contents(region, ksm.pageSize());
                content.fill(region.buffer(), page -> page % contents);
                Child.awaitParent("filled");

                UnmergeRefusedException refusal = catchThrowableOfType(
                        UnmergeRefusedException.class, () -> region.markUnmergeable(Unmerge.CHECKED));
                assertThat(refusal).isNotNull();
                assertThat(refusal.neededBytes()).isEqualTo(MERGED);
                assertThat(refusal.unmarkedBytes()).isZero();
                assertThat(refusal.leftBytes()).as("%s", refusal).isBetween(0L, ROOM);
                assertThat(refusal.limitedBy()).isEqualTo(arguments[0] + "/memory.max");
                assertThat(refusal).hasMessageContaining(MERGED + " bytes").hasMessageContaining(arguments[0]);
                assertThat(refusal.mayRetry()).isTrue();
                assertThat(region.isMergeable()).isTrue();
                assertThat(region.unmarkedRanges()).isEmpty();
                assertThat(region.stats().mergedBytes()).isEqualTo(Merging.ifReported(Feature.SMAPS_KSM, MERGED));
                assertThat(region.stats().savedBytes()).isGreaterThan(MERGED / 10 * 9);

                Child.awaitParent("refused");
                region.markUnmergeable();
                assertThat(region.isMergeable()).isFalse();
                assertThat(region.stats().savedBytes()).isZero();
                content.verify(region.buffer(), page -> page % contents);
                Child.say("done");
            }
        }
    }

    @Test
    void underALimitItIsRefusedUntilThereIsRoom(RunningKsmd ksmd) {
        Sharing before = Sharing.now();
        try (MemoryCgroup cgroup = MemoryCgroup.create();
                RunningJvm child = RunningJvm.start(
                        cgroup.commandPrefix(),
                        Commands.SMALL_HEAP,
                        Program.class,
                        cgroup.directory().toString())) {
            child.awaitLine("filled");
            awaitMerged(ksmd, child, MERGED, before);
            // Merged pages stay merged.
            ksmd.set(KsmSetting.RUN, 0);
            cgroup.limitTo(cgroup.usage() + ROOM);
            child.proceed();
            child.awaitLine("refused");
            cgroup.limitTo(cgroup.usage() + 2 * MERGED);
            child.proceed();
            child.awaitLine("done");
            assertThat(child.awaitExit()).isZero();
        }
    }

    /** Waits until this many bytes of a child are merged. */
    static void awaitMerged(RunningKsmd ksmd, RunningJvm child, long bytes, Sharing before) {
        await().atMost(PATIENCE).until(() -> {
            ksmd.awaitFullScans(1);
            return mergedPages(child.pid(), before) >= bytes / Backend.ksm().pageSize();
        });
    }

    /**
     * Returns the merged pages of a process, or of the whole machine where the kernel does not report them by process.
     */
    private static long mergedPages(long pid, Sharing before) {
        Sharing since = Sharing.since(before);
        return KernelFiles.mergingPages(pid).orElse(since.shared() + since.sharing());
    }
}
