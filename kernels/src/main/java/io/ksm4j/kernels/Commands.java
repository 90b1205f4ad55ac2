// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.JavaCommand;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command {@code ksm} and the quickstart, each in its own process. */
@OnlyIn(Situation.PLAIN)
@EnabledIfKsm(control = true)
final class Commands {

    static final List<String> SMALL_HEAP = List.of("-Xmx64m");

    private final Ksm ksm = Backend.ksm();
    private final long page = ksm.pageSize();
    private final PageContents content = PageContents.unique(ksm.pageSize());
    private final String pid = Long.toString(ProcessHandle.current().pid());

    /** Runs the command {@code ksm} to its end. */
    static EndedProcess ksm(String... arguments) {
        return EndedProcess.run(JavaCommand.of(SMALL_HEAP, "io.ksm4j.tools.KsmCommand", arguments));
    }

    /** Returns the first number with this name in the JSON output: that of the machine, or of all processes. */
    private static OptionalLong number(EndedProcess command, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\": (-?\\d+|null)").matcher(command.output());
        assertThat(matcher.find()).as("%s in %s", name, command).isTrue();
        return matcher.group(1).equals("null")
                ? OptionalLong.empty()
                : OptionalLong.of(Long.parseLong(matcher.group(1)));
    }

    @Test
    void doctorSaysWhetherMergingCanWork(RunningKsmd ksmd) {
        EndedProcess works = ksm("doctor", "--json");
        assertThat(works.exitStatus()).as("%s", works).isZero();
        assertThat(works.output())
                .startsWith("{\"canMerge\": true, \"verdict\": \"works\", ")
                .contains("{\"name\": \"ksmd\", \"verdict\": \"ok\", ")
                .contains("{\"name\": \"advice\", \"verdict\": \"ok\", ")
                .contains("{\"name\": \"whole-process\", \"verdict\": \""
                        + (Feature.MEMORY_MERGE.isThere() ? "ok" : "warning") + "\", ");

        ksmd.set(KsmSetting.RUN, 0);
        EndedProcess stopped = ksm("doctor", "--json");
        assertThat(stopped.exitStatus()).as("%s", stopped).isEqualTo(3);
        assertThat(stopped.output())
                .startsWith("{\"canMerge\": false, \"verdict\": \"fixable\", ")
                .contains("{\"name\": \"ksmd\", \"verdict\": \"fixable\", ");
    }

    @Test
    void statusShowsTheMachineAndThisProcess(RunningKsmd ksmd) {
        try (MergeRegion region = ksm.allocate(64 * page, Merging.SMALL_PAGES)) {
            content.fill(region.buffer(), i -> i / 2);
            Merging.awaitMerging(
                    ksmd, () -> assertThat(region.stats().savedBytes()).isEqualTo(32 * page));
            // The numbers must not change.
            ksmd.set(KsmSetting.RUN, 0);
            Sharing now = Sharing.now();

            EndedProcess status = ksm("status", "--json", pid);

            assertThat(status.exitStatus()).as("%s", status).isZero();
            assertThat(number(status, "pageSize")).hasValue(page);
            assertThat(number(status, "run")).hasValue(0);
            assertThat(number(status, "pagesShared")).hasValue(now.shared());
            assertThat(number(status, "pagesSharing")).hasValue(now.sharing());
            assertThat(number(status, "savedBytes")).hasValue(now.sharing() * page);
            assertThat(number(status, "pid")).hasValue(Long.parseLong(pid));
            assertThat(number(status, "mergingPages")).isEqualTo(Merging.ifReported(Feature.MERGING_PAGES, 64));
        }
    }

    @Test
    void estimateSaysWhatThenMerges(RunningKsmd ksmd) {
        int equal = 300;
        int contents = 100;
        int unique = 100;
        int zeros = 20;
        int pages = equal + unique + zeros;
        try (MergeRegion region = ksm.allocate(pages * page, Merging.SMALL_PAGES)) {
            content.fill(region.buffer(), i -> -1 - i);
            ksmd.awaitFullScans(3);
            Sharing before = Sharing.now();
            ksmd.set(KsmSetting.RUN, 0);
            content.fill(region.buffer(), i -> i < equal ? i % contents : i);
            for (int i = equal + unique; i < pages; i++) {
                region.buffer(i * page, (int) page).put(new byte[(int) page]);
            }

            EndedProcess estimate = ksm("estimate", "--json", "--marked", pid);

            assertThat(estimate.exitStatus()).as("%s", estimate).isZero();
            long saved = (long) pages - contents - unique - 1;
            assertThat(number(estimate, "pageSize")).hasValue(page);
            assertThat(number(estimate, "candidateBytes")).hasValue(pages * page);
            assertThat(number(estimate, "zeroBytes")).hasValue(zeros * page);
            assertThat(number(estimate, "savedBytes")).hasValue(saved * page);
            assertThat(number(estimate, "extraCopiesBytes")).hasValue(0);
            ksmd.set(KsmSetting.RUN, 1);
            Merging.awaitMerging(
                    ksmd, () -> assertThat(Sharing.since(before)).isEqualTo(new Sharing(contents + 1, saved)));
        }
    }

    @Test
    void theQuickstartMergesFourCopiesAndPutsEverySettingBack(RunningKsmd ksmd, @TempDir Path directory)
            throws IOException {
        ksmd.set(KsmSetting.RUN, 0);
        Map<String, String> before = KernelFiles.settings();
        // Random, so that a page is equal to its copies only.
        byte[] data = new byte[(1 << 20) + 100];
        new Random(1).nextBytes(data);
        Path file = Files.write(directory.resolve("data"), data);

        EndedProcess quickstart =
                EndedProcess.run(JavaCommand.of(SMALL_HEAP, "io.ksm4j.samples.quickstart.Quickstart", file.toString()));

        assertThat(quickstart.exitStatus()).as("%s", quickstart).isZero();
        assertThat(quickstart.output())
                .contains("ksmd is stopped: it runs fast for a moment, then every setting is put back");
        assertThat(quickstart.output().contains("\nshared is not known: "))
                .as("%s", quickstart)
                .isEqualTo(!Feature.SMAPS_KSM.isThere());
        Matcher saved = Pattern.compile("saved ([0-9.]+) MiB of ([0-9.]+) MiB in [0-9.]+ s \\(backend \\w+\\)")
                .matcher(quickstart.output().strip().lines().reduce("", (one, next) -> next));
        assertThat(saved.matches()).as("%s", quickstart).isTrue();
        double all = Double.parseDouble(saved.group(2));
        assertThat(Double.parseDouble(saved.group(1))).isBetween(all * 0.75 - 0.01, all * 0.75 + 0.01);
        assertThat(KernelFiles.settings()).isEqualTo(before);
    }
}
