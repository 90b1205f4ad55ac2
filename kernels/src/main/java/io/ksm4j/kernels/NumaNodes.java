// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.SettingBusyException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.List;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.junit.jupiter.api.Test;

/** Two programs with equal pages, each with its memory on another node. */
@OnlyIn(Situation.NUMA)
@EnabledIfKsm(control = true)
final class NumaNodes {

    private static final int PAGES = 256;
    private static final int CONTENTS = PAGES / 2;

    /** Has two copies of each page. */
    static final class Program {

        private Program() {}

        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Backend.ksm();
            PageContents content = new PageContents(Long.parseLong(arguments[0]), ksm.pageSize());
            long size = PAGES * ksm.pageSize();
            try (MergeRegion region = ksm.allocate(size, Merging.SMALL_PAGES)) {
                Child.say("at " + region.address());
                content.fill(region.buffer(), page -> page % CONTENTS);
                Child.awaitParent("filled");
                content.verify(region.buffer(), page -> page % CONTENTS);
                // Each page has four copies: two in this program and two in the other one.
                Merging.assertStats(region, size, size, size * 3 / 4);
                // The copy that a process gets by a write may be on the node of the other process.
                Child.awaitParent("merged across nodes");
                region.discard(0, size);
                content.fill(region.buffer(), page -> page % CONTENTS);
                Child.awaitParent("filled again");
                content.verify(region.buffer(), page -> page % CONTENTS);
                Merging.assertStats(region, size, size, size / 2);
                Child.say("merged on its node");
            }
        }
    }

    @Test
    void pagesOfTwoNodesMergeOnlyWhereTheSettingSaysSo(RunningKsmd ksmd) {
        Sharing.awaitNone();
        Sharing before = Sharing.now();
        ksmd.set(KsmSetting.MERGE_ACROSS_NODES, 1);
        // ksmd must not run until the nodes of the pages are checked.
        ksmd.set(KsmSetting.RUN, 0);
        String salt = Long.toString(new SecureRandom().nextLong());
        try (RunningJvm first = RunningJvm.start(List.of("taskset", "1"), Commands.SMALL_HEAP, Program.class, salt);
                RunningJvm second =
                        RunningJvm.start(List.of("taskset", "2"), Commands.SMALL_HEAP, Program.class, salt)) {
            List<RunningJvm> both = List.of(first, second);
            long inFirst = Long.parseLong(first.awaitLineThatStartsWith("at "));
            long inSecond = Long.parseLong(second.awaitLineThatStartsWith("at "));
            both.forEach(child -> child.awaitLine("filled"));
            assertIsOn(0, first, inFirst);
            assertIsOn(1, second, inSecond);
            ksmd.set(KsmSetting.RUN, 1);
            Merging.awaitMerging(
                    ksmd,
                    () -> assertThat(Sharing.since(before)).isEqualTo(new Sharing(CONTENTS, 2 * PAGES - CONTENTS)));
            both.forEach(RunningJvm::proceed);
            both.forEach(child -> child.awaitLine("merged across nodes"));

            assertThatThrownBy(() -> ksmd.set(KsmSetting.MERGE_ACROSS_NODES, 0))
                    .isInstanceOf(SettingBusyException.class)
                    .hasMessageContaining(
                            "merge_across_nodes changes only while no page is merged: set run to 2 first");
            assertThat(ksmd.read("merge_across_nodes")).isOne();
            ksmd.set(KsmSetting.RUN, 2);
            ksmd.set(KsmSetting.MERGE_ACROSS_NODES, 0);
            assertThat(KsmStats.read().mergeAcrossNodes()).hasValue(0);

            both.forEach(RunningJvm::proceed);
            both.forEach(child -> child.awaitLine("filled again"));
            assertIsOn(0, first, inFirst);
            assertIsOn(1, second, inSecond);
            ksmd.set(KsmSetting.RUN, 1);
            Merging.awaitMerging(
                    ksmd,
                    () -> assertThat(Sharing.since(before))
                            .isEqualTo(new Sharing(2 * CONTENTS, 2 * PAGES - 2 * CONTENTS)));
            EndedProcess doctor = Commands.ksm("doctor", "--json");
            assertThat(doctor.exitStatus()).as("%s", doctor).isZero();
            assertThat(doctor.output()).contains("{\"name\": \"numa-nodes\", \"verdict\": \"warning\", ");
            both.forEach(RunningJvm::proceed);
            both.forEach(child -> child.awaitLine("merged on its node"));
            both.forEach(child -> assertThat(child.awaitExit()).isZero());
        } finally {
            // The kernel restores this setting, too, only while no page is merged.
            ksmd.set(KsmSetting.RUN, 2);
        }
    }

    private static void assertIsOn(int node, RunningJvm child, long address) {
        String maps = KernelFiles.text(Path.of("/proc", Long.toString(child.pid()), "numa_maps"));
        assertThat(maps.lines().filter(line -> line.startsWith(Long.toHexString(address) + " ")))
                .as("pages of the region")
                .singleElement(InstanceOfAssertFactories.STRING)
                .contains(" N" + node + "=" + PAGES + " ");
    }
}
