// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.Unmerge;
import io.ksm4j.UnmergeRefusedException;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A machine that is almost out of memory. */
@OnlyIn(Situation.SMALL)
@EnabledIfKsm(control = true)
final class LittleMemory {

    private static final long MERGED = 64L << 20;

    /** The maximum headroom in the end. */
    private static final long ROOM = 48L << 20;

    private static long available() {
        return KernelFiles.memory("MemAvailable");
    }

    /** Waits until memory is merged, uses up what that saves, and then unmerges it. */
    static final class Program {

        private Program() {}

        public static void main(String[] arguments) throws IOException {
            // If the OOM killer is invoked, it must kill this process.
            Files.writeString(Path.of("/proc/self/oom_score_adj"), "1000");
            Ksm ksm = Backend.ksm();
            PageContents content = PageContents.unique(ksm.pageSize());
            try (MergeRegion region = ksm.allocate(MERGED, Merging.SMALL_PAGES)) {
                long contents = Child.contents(region, ksm.pageSize());
                content.fill(region.buffer(), page -> page % contents);
                Child.awaitParent("filled");

                List<MergeRegion> others = new ArrayList<>();
                for (long left = available(); left > ROOM; left = available()) {
                    long size = Math.max(2L << 20, (left - ROOM) / 2);
                    others.add(ksm.allocate(
                            size,
                            Merging.SMALL_PAGES.withMarking(Marking.UNMERGEABLE).withPopulate(true)));
                }
                Child.say("used up");
                UnmergeRefusedException refusal = catchThrowableOfType(
                        UnmergeRefusedException.class, () -> region.markUnmergeable(Unmerge.CHECKED));
                assertThat(refusal).isNotNull();
                assertThat(refusal.limitedBy()).isEqualTo("MemAvailable of /proc/meminfo");
                assertThat(refusal.neededBytes()).isEqualTo(MERGED);
                assertThat(refusal.leftBytes()).isLessThan(MERGED);
                assertThat(refusal.unmarkedBytes()).isZero();
                assertThat(region.isMergeable()).isTrue();
                assertThat(region.unmarkedRanges()).isEmpty();
                content.verify(region.buffer(), page -> page % contents);
                Child.say("refused");

                others.forEach(MergeRegion::close);
                region.markUnmergeable();
                Merging.assertStats(region, MERGED, 0, 0);
                content.verify(region.buffer(), page -> page % contents);
                Child.say("done");
            }
        }
    }

    @Test
    void takingPagesApartIsRefusedAndNobodyIsKilled(RunningKsmd ksmd) {
        assumeTrue(available() < 4L << 30, "there is too much memory to use it up");
        Sharing before = Sharing.now();
        try (RunningJvm child = RunningJvm.start(Program.class)) {
            child.awaitLine("filled");
            Unmerging.awaitMerged(ksmd, child, MERGED, before);
            ksmd.set(KsmSetting.RUN, 0);
            child.proceed();
            child.awaitLine("used up");
            child.awaitLine("refused");
            child.awaitLine("done");
            assertThat(child.awaitExit()).isZero();
        }
    }
}
