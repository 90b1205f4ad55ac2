// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import io.ksm4j.AddressRange;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.it.fixtures.PageCounts;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** {@code ksm estimate} for JVMs whose pages are known, compared with what ksmd then merges. */
class EstimateCommandTest {

    private static final long PAGE = Ksm.system().pageSize();

    /**
     * Fills a region with pages, and prints its address. The arguments are a salt and any number of {@code
     * PAGES:CONTENTS}: 0 contents are zero-filled pages, and -1 contents are pages that are read and never written.
     */
    static final class Holder {

        private Holder() {}

        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Ksm.system();
            PageContents pages = new PageContents(Long.parseLong(arguments[0]), ksm.pageSize());
            List<Integer> contents = new ArrayList<>();
            for (int i = 1; i < arguments.length; i++) {
                String[] part = arguments[i].split(":", -1);
                for (int page = 0; page < Integer.parseInt(part[0]); page++) {
                    int different = Integer.parseInt(part[1]);
                    contents.add(different > 0 ? i * 1_000_000 + page % different : different);
                }
            }
            RegionOptions options = RegionOptions.DEFAULT.withHugePages(HugePages.AVOID);
            try (MergeRegion region = ksm.allocate(contents.size() * ksm.pageSize(), options)) {
                for (int page = 0; page < contents.size(); page++) {
                    if (contents.get(page) > 0) {
                        pages.fill(region.buffer(), page, contents.get(page));
                    } else if (contents.get(page) == 0) {
                        region.buffer(page * ksm.pageSize(), 1).put(0, (byte) 0);
                    } else {
                        region.buffer(page * ksm.pageSize(), 1).get(0);
                    }
                }
                System.out.println("ready " + region.address() + " " + region.size());
                System.in.transferTo(OutputStream.nullOutputStream());
            }
        }
    }

    private final Map<RunningJvm, AddressRange> regions = new HashMap<>();

    private final String salt = Long.toString(new SecureRandom().nextInt());

    private RunningJvm holder(String... parts) throws IOException {
        List<String> arguments = new ArrayList<>(List.of(salt));
        arguments.addAll(List.of(parts));
        RunningJvm jvm = RunningJvm.start(Holder.class, arguments.toArray(String[]::new));
        String[] ready = jvm.awaitLineThatContains("ready ").split(" ", -1);
        regions.put(jvm, new AddressRange(Long.parseLong(ready[1]), Long.parseLong(ready[2])));
        return jvm;
    }

    /** The total pages of the regions of all holders. */
    private long frames() {
        return regions.entrySet().stream()
                .flatMapToLong(holder -> PageCounts.frames(holder.getKey().pid(), holder.getValue(), PAGE))
                .distinct()
                .count();
    }

    /** Returns whether reading an untouched page maps the zero page, as on most kernels. */
    private static boolean readsMapTheZeroPage() {
        try (MergeRegion region = Ksm.system()
                .allocate(
                        PAGE,
                        RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID))) {
            assertThat(region.buffer().get(0)).isZero();
            return PageCounts.of(region.range(), PAGE).zero() == PAGE;
        }
    }

    /**
     * Returns the number of further shared pages that the kernel keeps because {@code max_page_sharing} limits the
     * users of one.
     */
    private static long extraCopies(long pages, long maxPageSharing) {
        return (pages - 1) / maxPageSharing;
    }

    private static EndedProcess estimate(String... arguments) {
        List<String> all = new ArrayList<>(List.of("estimate", "--json"));
        all.addAll(List.of(arguments));
        return KsmProcess.run(all.toArray(String[]::new));
    }

    private static String pid(RunningJvm jvm) {
        return Long.toString(jvm.pid());
    }

    /** Returns the first number with this name: that of all processes, if processes have one, too. */
    private static long number(EndedProcess estimate, String name) {
        assertThat(estimate.exitStatus()).as(estimate.errors()).isZero();
        Matcher matcher = Pattern.compile("\"" + name + "\": (-?\\d+)").matcher(estimate.output());
        assertThat(matcher.find()).as(estimate.output()).isTrue();
        return Long.parseLong(matcher.group(1));
    }

    @Test
    @EnabledIfKsm(control = true)
    void knownPagesAreCountedExactlyAndMergeAsEstimated(RunningKsmd ksmd) throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        try (RunningJvm one = holder("512:100", "600:1", "20:0", "8:-1");
                RunningJvm other = holder("300:150", "100:100", "10:0")) {
            EndedProcess estimate = estimate("--marked", pid(one), pid(other), pid(one));

            // The other process has the same contents, and zeros are one more.
            long read = readsMapTheZeroPage() ? 0 : 8;
            long ofOne = 1132 + read;
            long keptOfOne = 100 + 1 + 1;
            long keptOfOther = 150 + 100 + 1;
            long common = 100 + 1 + 1;
            long within = ofOne - keptOfOne + 410 - keptOfOther;
            long maxPageSharing = ksmd.read("max_page_sharing");
            long extraCopies = extraCopies(601, maxPageSharing) + extraCopies(30 + read, maxPageSharing);
            long saved = within + common - extraCopies;
            long kept = 150 + 1 + 1 + extraCopies;
            long candidates = ofOne + 410;
            assertThat(estimate.output())
                    .startsWith("{\"pageSize\": " + PAGE + ", \"maxPageSharing\": " + maxPageSharing
                            + ", \"useZeroPages\": false, \"mergeAcrossNodes\": "
                            + (mergeAcrossNodes() ? "true" : "false") + ", \"sampling\": 1, \"candidateBytes\": "
                            + candidates * PAGE
                            + ", \"withinBytes\": " + within * PAGE
                            + ", \"acrossBytes\": " + common * PAGE + ", \"extraCopiesBytes\": "
                            + extraCopies * PAGE
                            + ", \"savedBytes\": " + saved * PAGE + ", \"errorBytes\": 0, ")
                    .contains(process(one, ofOne, 20 + read, ofOne - keptOfOne, common) + ", "
                            + process(other, 410, 10, 410 - keptOfOther, common))
                    .contains(", \"readBytes\": " + candidates * PAGE + ", \"seconds\": ");
            String page = Files.readString(Path.of("..", "docs", "command.md"));
            assertThat(Pattern.compile("\"(\\w+)\":").matcher(estimate.output()).results())
                    .isNotEmpty()
                    .allSatisfy(name -> assertThat(page).contains("`" + name.group(1) + "`"));

            // Of these two processes only: others may merge pages, too.
            long zeroPage = readsMapTheZeroPage() ? 1 : 0;
            assertThat(frames()).isEqualTo(candidates + zeroPage);
            ksmd.set(KsmSetting.RUN, 1);
            await().atMost(PATIENCE).until(this::frames, frames -> frames == candidates - saved + zeroPage);
            assertThat(ProcessKsmStats.read(one.pid()).rmapItems()).hasValue(ofOne);
            assertThat(ProcessKsmStats.read(one.pid()).mergingPages()).hasValue(ofOne);
            // All but one copy of each of its 99 unique contents.
            assertThat(ProcessKsmStats.read(other.pid()).mergingPages()).hasValue(410 - 99);
            assertThat(number(estimate, "costBytes")).isEqualTo(candidates * 64 + kept * 64 + 2 * 48);

            ksmd.set(KsmSetting.RUN, 0);
            EndedProcess after = estimate("--marked", pid(one), pid(other));
            assertThat(number(after, "candidateBytes")).isEqualTo(candidates * PAGE);
            assertThat(number(after, "savedBytes")).as("except for the copies").isEqualTo(extraCopies * PAGE);
        }
    }

    /** Kernels without NUMA have no such setting. */
    private static boolean mergeAcrossNodes() {
        return KsmDaemon.system().settings().get(KsmSetting.MERGE_ACROSS_NODES).orElse(1) == 1;
    }

    private static String process(RunningJvm jvm, long candidates, long zeros, long within, long across) {
        return "{\"pid\": " + jvm.pid() + ", \"name\": \"" + Holder.class.getName()
                + "\", \"complete\": true, \"candidateBytes\": " + candidates * PAGE + ", \"zeroBytes\": "
                + zeros * PAGE
                + ", \"sharedBytes\": 0, \"changedBytes\": 0, \"withinBytes\": " + within * PAGE + ", \"acrossBytes\": "
                + across * PAGE + ", \"costBytes\": " + (candidates * 64 + 48)
                + ", \"swappedBytes\": 0, \"unreadBytes\": 0, \"hugeBytes\": 0}";
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void aSampleInLittleMemoryIsAccurate(RunningKsmd ksmd) throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        try (RunningJvm jvm = holder("16384:8192", "4096:1", "4096:0")) {
            EndedProcess estimate = estimate("--marked", "--memory", "64k", pid(jvm));

            // 4096 entries, a quarter of which stay free, for 8194 contents.
            long saved = 8192 + 8190 - 2 * extraCopies(4096, ksmd.read("max_page_sharing"));
            assertThat(number(estimate, "sampling")).isEqualTo(4);
            assertThat(number(estimate, "candidateBytes")).isEqualTo(24576 * PAGE);
            assertThat(number(estimate, "errorBytes") / PAGE).isBetween(250L, 370L);
            assertThat((double) number(estimate, "savedBytes") / PAGE).isCloseTo((double) saved, within(0.05 * saved));

            EndedProcess eighth = estimate("--marked", "--sample", "8", pid(jvm));
            assertThat(number(eighth, "sampling")).isEqualTo(8);
            assertThat((double) number(eighth, "savedBytes") / PAGE).isCloseTo((double) saved, within(0.1 * saved));
        }
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void theEstimateForTenantsMatchesWhatTheyThenSave(RunningKsmd ksmd) throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        long seed = new SecureRandom().nextLong();
        List<RunningJvm> tenants = new ArrayList<>();
        try {
            for (int i = 0; i < 3; i++) {
                RunningJvm tenant = RunningJvm.start(
                        List.of(),
                        List.of("-Xmx64m"),
                        Class.forName("io.ksm4j.samples.tenants.TenantJvm"),
                        "OPTED_IN",
                        "",
                        Long.toString(seed),
                        Long.toString(32 << 20));
                tenants.add(tenant);
                tenant.awaitLine("ready");
                tenant.proceed();
                tenant.awaitLine("ready");
            }
            // Stopped, so that their memory does not change between the estimate and merging.
            for (RunningJvm tenant : tenants) {
                tenant.stop();
            }
            String[] pids = tenants.stream().map(EstimateCommandTest::pid).toArray(String[]::new);
            long before = ownBytes(tenants);

            long estimated = number(estimate(pids), "savedBytes");

            ksmd.set(KsmSetting.RUN, 1);
            ksmd.awaitFullScans(4);
            ksmd.set(KsmSetting.RUN, 0);
            double saved = before - ownBytes(tenants);
            assertThat(saved).isGreaterThan(64 << 20);
            assertThat((double) estimated).isCloseTo(saved, within(0.05 * saved));
        } finally {
            tenants.forEach(RunningJvm::close);
        }
    }

    /** Returns the anonymous memory of some processes, in which a page shared by n mappings counts 1/n for each. */
    private static long ownBytes(List<RunningJvm> processes) throws IOException {
        long kilobytes = 0;
        for (RunningJvm process : processes) {
            String rollup = Files.readString(Path.of("/proc", pid(process), "smaps_rollup"));
            kilobytes += Long.parseLong(rollup.replaceAll("(?s).*\nPss_Anon: +(\\d+) kB\n.*", "$1"));
        }
        return kilobytes << 10;
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void pagesThatChangeAreLeftOut(RunningKsmd ksmd) throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        try (RunningJvm jvm = RunningJvm.start(Changer.class, salt)) {
            jvm.awaitLine("ready");

            EndedProcess once = estimate("--marked", pid(jvm));
            EndedProcess twice = estimate("--marked", "--stable", "1", pid(jvm));

            assertThat(number(once, "savedBytes")).isGreaterThanOrEqualTo(999 * PAGE);
            assertThat(number(twice, "changedBytes")).isEqualTo(200 * PAGE);
            assertThat(number(twice, "savedBytes")).isEqualTo((1000 - 4) * PAGE);
            assertThat(number(twice, "candidateBytes")).isEqualTo(1200 * PAGE);
        }
    }

    /** Keeps changing 200 pages, and has 1000 equal ones. */
    static final class Changer {

        private Changer() {}

        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Ksm.system();
            PageContents pages = new PageContents(Long.parseLong(arguments[0]), ksm.pageSize());
            try (MergeRegion region =
                    ksm.allocate(1200 * ksm.pageSize(), RegionOptions.DEFAULT.withHugePages(HugePages.AVOID))) {
                pages.fill(region.buffer(), page -> 0);
                for (int round = 1; ; round++) {
                    for (int page = 0; page < 200; page++) {
                        pages.fill(region.buffer(), page, round);
                    }
                    if (round == 1) {
                        System.out.println("ready");
                    }
                }
            }
        }
    }

    @EnabledIfRoot
    @Test
    void pagesThatAForkSharesAreCountedOnce() throws Exception {
        String script = "x=$(head -c 8388608 /dev/urandom | base64 -w 0); while :; do sleep 100; done & echo $!; wait";
        Process parent = new ProcessBuilder("bash", "-c", script).start();
        try {
            String child = parent.inputReader(StandardCharsets.UTF_8).readLine();

            EndedProcess family = estimate(Long.toString(parent.pid()), child);

            assertThat(number(family, "candidateBytes")).isGreaterThan(2 * (10 << 20));
            assertThat(number(family, "savedBytes")).isLessThan(4 << 20);
            String ofChild = family.output().replaceAll(".*\"pid\": " + child, "");
            Matcher shared = Pattern.compile("\"sharedBytes\": (\\d+)").matcher(ofChild);
            assertThat(shared.find()).as(ofChild).isTrue();
            assertThat(Long.parseLong(shared.group(1))).isGreaterThan(10 << 20);
        } finally {
            parent.descendants().forEach(ProcessHandle::destroyForcibly);
            parent.destroyForcibly();
        }
    }
}
