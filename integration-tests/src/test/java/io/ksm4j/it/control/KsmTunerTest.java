// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.control;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeOutcome;
import io.ksm4j.MergeOutcome.End;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.Decision;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The tuner with the real {@code ksmd}, which other tests cannot use at the same time. */
class KsmTunerTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    private static final Path STATE = Path.of("/run/ksm4j/settings");
    private static final int PAGES = 8192;
    private final Ksm ksm = Ksm.system();
    private final PageContents pages = PageContents.unique(ksm.pageSize());
    private final RunningKsmd lock = RunningKsmd.start();
    private final BlockingQueue<Decision> decisions = new LinkedBlockingQueue<>();

    /** Stops ksmd, as it is on most machines, with a setting that differs from the kernel's default. */
    @BeforeEach
    void stop() {
        set(KsmSetting.RUN, 0);
        set(KsmSetting.PAGES_TO_SCAN, 123);
        set(KsmSetting.SLEEP_MILLISECS, 20);
    }

    @AfterEach
    void restoreSettings() {
        lock.close();
    }

    private void set(KsmSetting setting, long value) {
        lock.set(setting, value);
    }

    /** Returns the contents of the files of all settings. */
    private static Map<String, String> files() throws IOException {
        Map<String, String> files = new TreeMap<>();
        for (KsmSetting setting : KsmSetting.values()) {
            Path file = SYSFS.resolve(setting.file());
            if (Files.exists(file)) {
                files.put(setting.file(), Files.readString(file));
            }
        }
        return files;
    }

    private KsmTuner start(TuningPolicy policy) {
        return KsmTuner.start(KsmDaemon.system(), policy, (observation, decision) -> decisions.add(decision));
    }

    private MergeRegion copy() {
        MergeRegion region = ksm.allocate(
                PAGES * ksm.pageSize(),
                RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID));
        pages.fill(region.buffer(), page -> page);
        region.markMergeable();
        return region;
    }

    private void awaitReason(Predicate<String> wanted) throws InterruptedException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        Decision last = null;
        do {
            Decision next = decisions.poll(end - System.nanoTime(), TimeUnit.NANOSECONDS);
            assertThat(next).as("another decision than %s", last).isNotNull();
            last = next;
        } while (!wanted.test(last.reason()));
    }

    @Test
    void copiesMergeThenTheTunerIdlesAndWakesAndAllSettingsAreRestored() throws IOException, InterruptedException {
        Map<String, String> before = files();
        try (KsmTuner tuner = start(TuningPolicy.converge(0.5));
                MergeRegion one = copy();
                MergeRegion other = copy()) {
            MergeOutcome outcome = ksm.awaitMerged(List.of(one, other), 0.99, PATIENCE);
            assertThat(outcome.end()).isEqualTo(End.REACHED);

            awaitReason(reason -> reason.equals("nothing new"));
            assertThat(lock.read("sleep_millisecs")).as("idle").isGreaterThan(100);

            try (MergeRegion third = copy()) {
                awaitReason(reason -> reason.startsWith("this JVM has marked"));
                assertThat(third.awaitMerged(0.99, PATIENCE).end()).isEqualTo(End.REACHED);
            }
            assertThat(tuner.isRunning()).isTrue();
        }
        assertThat(files()).isEqualTo(before);
    }

    /** Only ksmd notices it: a slow background scan detects its pages. */
    @Test
    void dataOfAnotherProcessWakesTheTuner() throws IOException, InterruptedException {
        try (KsmTuner tuner = start(TuningPolicy.converge(0.5))) {
            awaitReason(reason -> reason.equals("nothing new"));
            try (RunningJvm child = RunningJvm.start(TwoCopies.class, Long.toString(PAGES * ksm.pageSize()))) {
                child.awaitLine("marked");
                awaitReason(reason -> reason.contains("more pages"));
                await().atMost(PATIENCE).until(() -> lock.read("pages_sharing") >= PAGES);
            }
            assertThat(tuner.isRunning()).isTrue();
        }
    }

    /** Marks two regions with equal contents, and waits for the end of its input. */
    static final class TwoCopies {
        public static void main(String[] arguments) throws IOException {
            Ksm ksm = Ksm.system();
            long size = Long.parseLong(arguments[0]);
            PageContents pages = PageContents.unique(ksm.pageSize());
            try (MergeRegion one = ksm.allocate(size);
                    MergeRegion other = ksm.allocate(size)) {
                pages.fill(one.buffer(), page -> page);
                pages.fill(other.buffer(), page -> page);
                System.out.println("marked");
                System.in.read();
            }
        }
    }

    @Test
    void aMarkEndsAPauseThatAllowsIt() throws InterruptedException {
        BlockingQueue<Long> marked = new LinkedBlockingQueue<>();
        TuningPolicy policy = now -> new Decision(KsmSettings.EMPTY, Duration.ofHours(1), true, "waiting for a mark");
        try (KsmTuner tuner = KsmTuner.start(
                        KsmDaemon.system(), policy, (observation, decision) -> marked.add(observation.markedBytes()));
                MergeRegion region = copy()) {
            long before = marked.take();
            assertThat(marked.poll(PATIENCE.toNanos(), TimeUnit.NANOSECONDS)).isEqualTo(before + region.size());
            assertThat(tuner.isRunning()).isTrue();
        }
    }

    @Test
    void ksmtunedStartsKsmdWhenMemoryIsShort() throws IOException, InterruptedException {
        Map<String, String> before = files();
        // Any amount of memory counts as too little.
        TuningPolicy policy = TuningPolicy.ksmtuned(Map.of("KSM_THRES_COEF", 100L, "KSM_NPAGES_BOOST", 1250L));
        try (KsmTuner tuner = start(policy);
                MergeRegion one = copy();
                MergeRegion other = copy()) {
            assertThat(lock.read("run")).isEqualTo(1);
            assertThat(lock.read("pages_to_scan")).isEqualTo(1250);
            assertThat(ksm.awaitMerged(List.of(one, other), 0.99, PATIENCE).end())
                    .isEqualTo(End.REACHED);
            assertThat(tuner.isRunning()).isTrue();
        }
        assertThat(files()).isEqualTo(before);
    }

    @Test
    void pressureDoesNotStartKsmdWhileMemoryIsFree() throws IOException {
        Map<String, String> before = files();
        try (KsmTuner tuner = start(TuningPolicy.pressure(1, 0, 0, 101))) {
            assertThat(tuner.isRunning()).isTrue();
            assertThat(lock.read("run")).isZero();
            assertThat(decisions.remove().reason()).startsWith("memory is not short");
        }
        assertThat(files()).isEqualTo(before);
    }

    @Test
    void theAdvisorIsRestoredWithTheNumberBeforeItsOwnChoice() throws IOException {
        Map<String, String> before = files();
        assumeTrue(before.containsKey("advisor_mode"));
        try (KsmTuner tuner = start(TuningPolicy.advisor(Duration.ofSeconds(10), 0.5))) {
            assertThat(tuner.isRunning()).isTrue();
            assertThat(files().get("advisor_mode")).contains("[scan-time]");
            assertThat(lock.read("advisor_max_cpu")).isEqualTo(50);
        }
        assertThat(files()).isEqualTo(before);
    }

    @Test
    void theNextProgramRestoresAfterATunerWasKilled() throws IOException, InterruptedException {
        Map<String, String> before = files();
        String owed = Files.readString(STATE);
        try (RunningJvm child = RunningJvm.start(Tuned.class)) {
            child.awaitLine("driving");
            assertThat(ProcessHandle.of(child.pid()).orElseThrow().destroyForcibly())
                    .isTrue();
            child.awaitExit();
        }
        assertThat(lock.read("run")).as("left behind").isEqualTo(1);
        ChildJvm.run(BorrowedSettingsTest.Reader.class, List.of()).assertEndedWell();
        assertThat(files()).isEqualTo(before);
        assertThat(STATE).hasContent(owed);
    }

    @Tag("long")
    @Test
    void aProgramThatIsTerminatedOrExitsWhileItsTunerRunsRestores() throws IOException, InterruptedException {
        Map<String, String> before = files();
        String owed = Files.readString(STATE);
        for (boolean isTerminated : new boolean[] {true, false}) {
            try (RunningJvm child = RunningJvm.start(Tuned.class)) {
                child.awaitLine("driving");
                assertThat(files()).isNotEqualTo(before);
                assertThat(isTerminated ? child.terminate() : child.finish()).isEqualTo(isTerminated ? 128 + 15 : 0);
                assertThat(child.hasPrintedMore()).as("failure is printed").isFalse();
            }
            assertThat(files()).isEqualTo(before);
            assertThat(STATE).hasContent(owed);
        }
    }

    /** Has a tuner that keeps changing settings until standard input ends, and does not close it. */
    static final class Tuned {

        private Tuned() {}

        @SuppressWarnings("resource") // What becomes of it is the test.
        public static void main(String[] args) throws IOException {
            TuningPolicy converge = TuningPolicy.converge(0.5);
            AtomicInteger decisions = new AtomicInteger();
            KsmTuner tuner = KsmTuner.start(
                    KsmDaemon.system(),
                    now -> {
                        Decision decision = converge.decide(now);
                        return new Decision(
                                decision.settings()
                                        .with(KsmSetting.PAGES_TO_SCAN, 200 + decisions.incrementAndGet() % 100),
                                Duration.ofMillis(1),
                                decision.reason());
                    },
                    (observation, decision) -> {
                        if (decisions.get() == 20) {
                            System.out.println("driving");
                        }
                    });
            while (System.in.read() >= 0) {
                // until the end
            }
            if (!tuner.isRunning()) {
                System.out.println("the tuner has ended");
            }
        }
    }
}
