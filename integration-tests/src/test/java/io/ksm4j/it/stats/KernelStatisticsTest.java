// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.stats;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.sun.management.ThreadMXBean;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Machine;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.KsmActivity;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The statistics match the files of this machine. */
class KernelStatisticsTest {

    private static final Path KSM = Path.of("/sys/kernel/mm/ksm");
    private static final Path VMSTAT = Path.of("/proc/vmstat");
    private static final int PAGES = 512;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    /** Makes the pages of this test differ from all other pages of this machine. */
    private final long salt = new SecureRandom().nextLong();

    /** A container may hide them, and still let memory be marked. */
    @BeforeEach
    void theKernelShowsItsFiles() {
        if (!Boolean.getBoolean("ksm.required")) {
            Assumptions.assumeTrue(Machine.showsKsm(), KSM + " is hidden");
        }
    }

    private static List<Path> ksmFiles() {
        try (Stream<Path> files = Files.list(KSM)) {
            return files.toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Map<String, String> readByLines() throws IOException {
        Map<String, String> texts = new TreeMap<>();
        for (Path file : ksmFiles()) {
            texts.put(file.getFileName().toString(), Files.readAllLines(file).get(0));
        }
        return texts;
    }

    private static Map<String, Long> counters(Path file) throws IOException {
        return Files.readAllLines(file).stream()
                .map(line -> line.split(" "))
                .filter(words -> !words[0].endsWith(":"))
                .collect(Collectors.toMap(words -> words[0], words -> Long.parseLong(words[1])));
    }

    @Test
    @EnabledIfKsm
    void everyFileAndCounterOfThisKernelIsReportedUnchanged() {
        // Other processes may be merging, so the comparison is repeated if anything has changed in between.
        await().atMost(PATIENCE).untilAsserted(() -> {
            Map<String, Long> vmstat = counters(VMSTAT);
            KsmStats stats = KsmStats.read();
            assertThat(stats.files()).containsExactlyEntriesOf(readByLines());
            assertThat(stats.isAvailable()).isTrue();
            assertThat(stats.pagesShared())
                    .hasValue(Long.parseLong(readByLines().get("pages_shared")));
            assertThat(stats.fullScans()).hasValue(Long.parseLong(readByLines().get("full_scans")));
            assertThat(stats.cowKsm()).isEqualTo(orAbsent(vmstat, "cow_ksm"));
            assertThat(stats.ksmSwpinCopy()).isEqualTo(orAbsent(vmstat, "ksm_swpin_copy"));
            assertThat(stats.usedBytes())
                    .hasValue(stats.pagesShared().getAsLong() * Ksm.system().pageSize());
        });
    }

    private static OptionalLong orAbsent(Map<String, Long> counters, String name) {
        return counters.containsKey(name) ? OptionalLong.of(counters.get(name)) : OptionalLong.empty();
    }

    @Test
    @EnabledIfKsm(control = true)
    void savedMemoryMatchesTheKernelsCalculation(RunningKsmd ksmd) throws IOException {
        Ksm ksm = Ksm.system();
        long page = ksm.pageSize();
        try (MergeRegion region = ksm.allocate(PAGES * page)) {
            KsmStats before = KsmStats.read();
            PageContents pages = new PageContents(salt, page);
            pages.fill(region.buffer(), i -> i % 8);
            ksmd.awaitFullScans(3);
            await().atMost(PATIENCE).untilAsserted(() -> {
                KsmStats stats = KsmStats.read();
                assertThat(stats.pagesSharing().getAsLong()).isGreaterThanOrEqualTo(PAGES - 8);
                assertThat(stats.generalProfit()).isPresent().isEqualTo(stats.profitBytes());
                ProcessKsmStats process = ProcessKsmStats.read();
                assertThat(process.mergingPages()).hasValue(PAGES);
                assertThat(process.mergedBytes()).hasValue(PAGES * page);
                assertThat(process.processProfit()).isPresent().isEqualTo(process.profitBytes());
                assertThat(process.mergeable()).hasValue(true);
                assertThat(process.rmapItems())
                        .isEqualTo(orAbsent(counters(Path.of("/proc/self/ksm_stat")), "ksm_rmap_items"));
            });

            // Each write to a merged page copies it.
            KsmStats merged = KsmStats.read();
            pages.fill(region.buffer(), i -> 1000 + i);
            ksmd.awaitFullScans(2);
            KsmStats written = KsmStats.read();
            KsmActivity activity = written.since(merged);
            assertThat(activity.copiesOnWrite().getAsLong()).isGreaterThanOrEqualTo(PAGES);
            assertThat(activity.fullScans().getAsLong()).isGreaterThanOrEqualTo(2);
            assertThat(activity.pagesScanned().getAsLong()).isGreaterThanOrEqualTo(PAGES);
            assertThat(activity.pagesPerSecond().getAsDouble()).isPositive();
            assertThat(activity.fullScanTime().orElseThrow()).isLessThanOrEqualTo(activity.duration());
            assertThat(written.fullScanTime()).as("no sleep").hasValue(Duration.ZERO);
            assertThat(written.since(before).duration()).isGreaterThan(activity.duration());
        }
    }

    /** Marks memory that merges, and prints nothing about it: the test reads its counters from outside. */
    static final class MergingChild {
        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Ksm.system();
            PageContents pages = new PageContents(Long.parseLong(arguments[0]), ksm.pageSize());
            try (MergeRegion region = ksm.allocate(PAGES * ksm.pageSize())) {
                pages.fill(region.buffer(), i -> 7);
                System.out.println("filled");
                if (System.in.read() == -1) {
                    System.out.println("done");
                }
                pages.verify(region.buffer(), i -> 7);
            }
        }
    }

    @Test
    @EnabledIfKsm(control = true)
    void anotherProcessCanBeReadUntilItHasEnded() throws Exception {
        long pid;
        try (RunningJvm child = RunningJvm.start(MergingChild.class, Long.toString(salt))) {
            child.awaitLine("filled");
            pid = child.pid();
            try (RunningKsmd ksmd = RunningKsmd.start()) {
                ksmd.awaitFullScans(3);
                await().atMost(PATIENCE)
                        .untilAsserted(
                                () -> assertThat(ProcessKsmStats.read(pid).mergingPages())
                                        .hasValue(PAGES));
            }
            Map<String, Long> counters = counters(Path.of("/proc/" + pid + "/ksm_stat"));
            ProcessKsmStats stats = ProcessKsmStats.read(pid);
            assertThat(stats.pid()).isEqualTo(pid);
            assertThat(stats.rmapItems()).hasValue(counters.get("ksm_rmap_items"));
            assertThat(stats.mergingPages()).hasValue(counters.get("ksm_merging_pages"));
            assertThat(stats.processProfit()).hasValue(counters.get("ksm_process_profit"));
            assertThat(child.finish()).isZero();
        }
        assertThatThrownBy(() -> ProcessKsmStats.read(pid))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("/proc/" + pid)
                .hasMessageContaining("has ended");
    }

    /** Runs as a user who may not read the files of other users' processes. */
    static final class Stranger {
        public static void main(String[] arguments) {
            System.out.println("sees " + KsmStats.read().isAvailable() + " "
                    + KsmStats.read().run());
            System.out.println("is " + ProcessKsmStats.read().entries().keySet());
            try {
                System.out.println("reads " + ProcessKsmStats.read(Long.parseLong(arguments[0])));
            } catch (UncheckedIOException e) {
                System.out.println("refused: " + e.getMessage());
            }
        }
    }

    @Test
    @EnabledIfKsm(control = true)
    void aProcessOfAnotherUserCannotBeReadButTheKernelCan(@TempDir Path directory) throws Exception {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        String classPath = ChildJvm.readableClassPath(directory);
        long here = ProcessHandle.current().pid();
        List<String> arguments = List.of(java, "-cp", classPath, Stranger.class.getName(), Long.toString(here));

        assertThat(outputOf("--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace", arguments))
                .contains("sees true OptionalLong[")
                .contains("is [ksm_")
                .contains("refused: no permission to read /proc/" + here + "/ksm_stat")
                .contains("CAP_DAC_READ_SEARCH");
        assertThat(outputOf("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", arguments))
                .contains("reads ProcessKsmStats[pid=" + here);
    }

    private static String outputOf(String inherited, String ambient, List<String> arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(
                List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", inherited, ambient));
        command.addAll(arguments);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return output;
    }

    @Test
    @EnabledIfKsm
    void theGarbageOfAReadDoesNotDependOnTheNumberOfRegions() {
        Ksm ksm = Ksm.system();
        long without = leastAllocatedByReading();
        List<MergeRegion> regions =
                Stream.generate(() -> ksm.allocate(ksm.pageSize())).limit(200).toList();
        try {
            assertThat(leastAllocatedByReading())
                    .isLessThanOrEqualTo(without + 256)
                    .isLessThan(64 << 10);
        } finally {
            regions.forEach(MergeRegion::close);
        }
    }

    /**
     * Returns the minimum of several calls, because the interpreter and first calls allocate more than compiled code.
     */
    private static long leastAllocatedByReading() {
        long least = Long.MAX_VALUE;
        for (int i = 0; i < 50; i++) {
            long before = THREADS.getCurrentThreadAllocatedBytes();
            boolean available = KsmStats.read().isAvailable();
            ProcessKsmStats.read();
            least = Math.min(least, THREADS.getCurrentThreadAllocatedBytes() - before);
            assertThat(available).isTrue();
        }
        return least;
    }
}
