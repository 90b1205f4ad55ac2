// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.control;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.KsmdThread;
import io.ksm4j.control.SettingBusyException;
import io.ksm4j.control.SettingRefusedException;
import io.ksm4j.internal.Descriptors;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;

/**
 * The kernel accepts what ksm4j writes, and its own settings are restored afterwards, whatever happens to the program.
 */
@EnabledIfKsm(control = true)
@ResourceLock(Aside.MARKED_MEMORY)
class BorrowedSettingsTest {

    private static final Path SYSFS = Path.of("/sys/kernel/mm/ksm");
    private static final Path STATE = Path.of("/run/ksm4j/settings");
    private final KsmDaemon ksmd = KsmDaemon.system();

    /** A session, and the first session. */
    private final RunningKsmd turn;

    private Map<String, String> before = Map.of();
    private String sessionsBefore = "";

    BorrowedSettingsTest(RunningKsmd turn) {
        this.turn = turn;
    }

    @BeforeEach
    void remember() throws IOException {
        before = files();
        sessionsBefore = Files.readString(STATE);
    }

    /** Reads the settings without the library. */
    private static Map<String, String> files() throws IOException {
        Map<String, String> files = new TreeMap<>();
        try (Stream<Path> settings = Files.list(SYSFS)) {
            for (Path file : settings.toList()) {
                if (KsmSetting.ofFile(file.getFileName().toString()).isPresent()) {
                    files.put(file.getFileName().toString(), Files.readString(file));
                }
            }
        }
        return files;
    }

    private static String file(KsmSetting setting) throws IOException {
        return Files.readString(SYSFS.resolve(setting.file())).strip();
    }

    private static KsmSettings with(KsmSetting setting, long value) {
        return KsmSettings.EMPTY.with(setting, value);
    }

    /**
     * Settings that change only while no page is merged cannot be tested while other processes have merged pages. Pages
     * of processes that have ended are counted until ksmd removes their records.
     */
    private void assumeNothingIsMerged() {
        for (int scan = 0; scan < 10 && turn.read("pages_shared") > 0; scan++) {
            turn.awaitFullScans(1);
        }
        assumeTrue(turn.read("pages_shared") == 0, "other processes have merged pages");
    }

    private void assertRestored() throws IOException {
        assertThat(files()).isEqualTo(before);
        assertThat(STATE).hasContent(sessionsBefore);
    }

    @Test
    void everySettingOfThisKernelIsReadChangedAndRestored() throws IOException {
        assumeNothingIsMerged();
        Map<KsmSetting, Long> settings = ksmd.settings().values();
        assertThat(settings).hasSameSizeAs(before);
        for (Map.Entry<KsmSetting, Long> now : settings.entrySet()) {
            KsmSetting setting = now.getKey();
            long other = now.getValue() < setting.max() ? now.getValue() + 1 : now.getValue() - 1;
            try (KsmSession session = ksmd.borrow(with(setting, other))) {
                String expected = setting == KsmSetting.ADVISOR_MODE ? "none [scan-time]" : Long.toString(other);
                assertThat(file(setting)).as(session.toString()).isEqualTo(expected);
                assertThat(Files.readString(STATE)).contains(" " + setting.file() + "=" + other);
            }
            assertRestored();
        }
    }

    /** Changes one setting at a time, so that the advisor's minimum is never above its maximum. */
    @Test
    void theKernelAcceptsTheMinimumAndMaximumOfEverySetting() throws IOException {
        assumeNothingIsMerged();
        for (KsmSetting setting : ksmd.settings().values().keySet()) {
            if (setting == KsmSetting.RUN || setting == KsmSetting.ADVISOR_MODE) {
                continue;
            }
            KsmSettings freed = KsmSettings.EMPTY;
            if (setting == KsmSetting.ADVISOR_MIN_PAGES_TO_SCAN) {
                freed = with(KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN, KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN.max());
            } else if (setting == KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN) {
                freed = with(KsmSetting.ADVISOR_MIN_PAGES_TO_SCAN, 0);
            }
            for (long end : new long[] {setting.min(), setting.max()}) {
                try (KsmSession session = ksmd.borrow(freed.with(setting, end))) {
                    assertThat(file(setting)).as(session.toString()).isEqualTo(Long.toString(end));
                }
            }
        }
        assertRestored();
    }

    @Test
    void theAdvisorsChoiceIsRestoredToo() throws IOException {
        try (KsmSession session = ksmd.borrow(with(KsmSetting.ADVISOR_MODE, KsmSetting.SCAN_TIME))) {
            assertThat(file(KsmSetting.PAGES_TO_SCAN))
                    .isNotEqualTo(before.get("pages_to_scan").strip());
            assertThatThrownBy(() -> ksmd.change(with(KsmSetting.PAGES_TO_SCAN, 7)))
                    .isInstanceOf(SettingRefusedException.class)
                    .hasMessageContaining("set advisor_mode to none");
            assertThat(session.settings().values()).hasSize(1);
        }
        assertRestored();
    }

    @Test
    void aSettingThatChangesOnlyWhileNoPageIsMergedIsRefusedOtherwise() throws Exception {
        assumeNothingIsMerged();
        Ksm ksm = Ksm.system();
        try (MergeRegion region =
                ksm.allocate(64 * ksm.pageSize(), RegionOptions.DEFAULT.withHugePages(HugePages.AVOID))) {
            PageContents.unique(ksm.pageSize()).fill(region.buffer(), page -> 0);
            assertThat(region.awaitMerged(0.5, PATIENCE).isReached()).isTrue();
            KsmSettings wanted = with(KsmSetting.SLEEP_MILLISECS, 77).with(KsmSetting.MAX_PAGE_SHARING, 300);
            assertThatThrownBy(() -> ksmd.change(wanted)).isInstanceOf(SettingBusyException.class);
            assertThatThrownBy(() -> ksmd.borrow(wanted)).isInstanceOf(SettingBusyException.class);
            assertRestored();
            // The message says to unmerge the pages first.
            try (KsmSession session = ksmd.borrow(wanted.with(KsmSetting.RUN, 2))) {
                assertThat(file(KsmSetting.MAX_PAGE_SHARING))
                        .as(session.toString())
                        .isEqualTo("300");
                assertThat(region.stats().mergedBytes()).hasValue(0);
            }
            assertRestored();
        }
    }

    @Test
    void aSettingThatCannotBeRestoredIsRestoredByTheNextProgram() throws Exception {
        assumeNothingIsMerged();
        Ksm ksm = Ksm.system();
        KsmSession session = ksmd.borrow(with(KsmSetting.MAX_PAGE_SHARING, 300).with(KsmSetting.SLEEP_MILLISECS, 0));
        try (MergeRegion region =
                ksm.allocate(64 * ksm.pageSize(), RegionOptions.DEFAULT.withHugePages(HugePages.AVOID))) {
            PageContents.unique(ksm.pageSize()).fill(region.buffer(), page -> 0);
            assertThat(region.awaitMerged(0.5, PATIENCE).isReached()).isTrue();
            assertThatThrownBy(session::close).isInstanceOf(SettingBusyException.class);
            assertThat(Files.readString(STATE))
                    .contains(
                            "max_page_sharing " + before.get("max_page_sharing").strip() + " 300");
            assertThat(recoverInANewProgram())
                    .contains("max_page_sharing is not restored yet", "changes only while no page is merged")
                    .doesNotContain("\tat ");
            // A setting that one program could not restore can be borrowed by another program.
            try (KsmSession other = ksmd.borrow(with(KsmSetting.SLEEP_MILLISECS, 5))) {
                assertThat(file(KsmSetting.SLEEP_MILLISECS))
                        .as(other.toString())
                        .isEqualTo("5");
            }
        } finally {
            // No page is merged once the region is closed and ksmd has removed its records.
            turn.set(KsmSetting.RUN, 2);
            assertThat(recoverInANewProgram())
                    .contains(
                            "max_page_sharing=" + before.get("max_page_sharing").strip());
            turn.set(KsmSetting.RUN, 1);
        }
        assertThat(files()).isEqualTo(before);
        assertThat(Files.readString(STATE)).doesNotContain("max_page_sharing");
    }

    @Test
    void aProgramThatExitsWithoutClosingRestores() throws Exception {
        try (RunningJvm child = RunningJvm.start(Borrower.class, "pages_to_scan", "11")) {
            child.awaitLine("borrowed");
            assertThat(file(KsmSetting.PAGES_TO_SCAN)).isEqualTo("11");
            child.finish();
        }
        assertRestored();
    }

    /** The child has its own {@code /run}, since the directory exists in the real one. */
    @Test
    void aRestoreThatFailedForWantOfADescriptorIsRetriedAtTheExit() throws Exception {
        ChildJvm child = ChildJvm.run(
                List.of(
                        "unshare",
                        "--mount",
                        "sh",
                        "-c",
                        "mount -t tmpfs tmpfs /run && umask 0 && ulimit -n 256 && exec \"$0\" \"$@\""),
                WithoutDescriptors.class,
                List.of());
        child.assertEndedWell();
        assertThat(child.output())
                .contains("directory rwxr-xr-x, file rw-r--r--\n")
                .contains("close: cannot lock /run/ksm4j/lock: " + Descriptors.USED_UP)
                .contains("stats of the region: cannot read /proc/self/smaps: " + Descriptors.USED_UP)
                .contains("support: [Finding[kind=HIDDEN, scope=MACHINE, number=0.0, limit=0.0, reason="
                        + "/sys/kernel/mm/ksm/run cannot be read, so ksmd may run or not: "
                        + Descriptors.USED_UP)
                .contains("stats of the kernel: cannot read /sys/kernel/mm/ksm/")
                .contains("stats of a tree: cannot list /sys/kernel/mm/ksm: " + Descriptors.USED_UP)
                .contains("thread: cannot look for ksmd: " + Descriptors.USED_UP)
                .contains("settings: cannot read /sys/kernel/mm/ksm/run: " + Descriptors.USED_UP)
                .contains("still 11\n");
        assertThat(files()).isEqualTo(before);
    }

    /** Borrows a setting, closes the session while no descriptor is free, and exits. */
    static final class WithoutDescriptors {

        private WithoutDescriptors() {}

        public static void main(String[] args) throws IOException {
            KsmDaemon ksmd = KsmDaemon.system();
            Ksm ksm = Ksm.system();
            List<InputStream> open = new ArrayList<>();
            List<String> said = new ArrayList<>();
            KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 11));
            System.out.println("directory " + permissions(STATE.getParent()) + ", file " + permissions(STATE));
            try (MergeRegion region = ksm.allocate(1)) {
                // Loads the classes that are needed.
                Path root = Path.of("/");
                said.add(region.stats() + " " + ksm.support() + KsmStats.read() + KsmdThread.find());
                assertThatThrownBy(() -> {
                            while (true) {
                                open.add(new FileInputStream("/dev/null"));
                            }
                        })
                        .isInstanceOf(IOException.class);
                said.clear();
                tell(said, "close", session::close);
                tell(said, "stats of the region", region::stats);
                said.add("support: " + ksm.support().obstacles());
                tell(said, "stats of the kernel", KsmStats::read);
                tell(said, "stats of a tree", () -> KsmStats.read(root, ksm.pageSize()));
                tell(said, "thread", KsmdThread::find);
                tell(said, "settings", ksmd::settings);
                for (InputStream file : open) {
                    file.close();
                }
            }
            said.forEach(System.out::println);
            System.out.println("still " + file(KsmSetting.PAGES_TO_SCAN));
        }

        private static String permissions(Path path) throws IOException {
            return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
        }

        private static void tell(List<String> said, String what, Runnable call) {
            try {
                call.run();
                said.add(what + " does not fail");
            } catch (UncheckedIOException e) {
                said.add(what + ": " + e.getMessage());
            }
        }
    }

    @Test
    void aTerminatedProgramRestores() throws Exception {
        try (RunningJvm child = RunningJvm.start(Borrower.class, "pages_to_scan", "11")) {
            child.awaitLine("borrowed");
            child.terminate();
        }
        assertRestored();
    }

    @Test
    void theNextProgramRestoresAfterAKill() throws Exception {
        try (RunningJvm child = RunningJvm.start(Borrower.class, "pages_to_scan", "11")) {
            child.awaitLine("borrowed");
            assertThat(ProcessHandle.of(child.pid()).orElseThrow().destroyForcibly())
                    .isTrue();
            child.awaitExit();
        }
        assertThat(file(KsmSetting.PAGES_TO_SCAN)).isEqualTo("11");
        assertThat(recoverInANewProgram())
                .contains("pages_to_scan=" + before.get("pages_to_scan").strip());
        assertRestored();
    }

    @Test
    void aProgramThatOnlyMarksMemoryRestoresToo() throws Exception {
        try (RunningJvm child = RunningJvm.start(Borrower.class, "pages_to_scan", "11")) {
            child.awaitLine("borrowed");
            assertThat(ProcessHandle.of(child.pid()).orElseThrow().destroyForcibly())
                    .isTrue();
            child.awaitExit();
        }
        assertThat(file(KsmSetting.PAGES_TO_SCAN)).isEqualTo("11");
        ChildJvm.run(Marker.class, List.of()).assertEndedWell();
        assertRestored();
    }

    private static String recoverInANewProgram() {
        return ChildJvm.run(Reader.class, List.of()).assertEndedWell().output();
    }

    @Test
    void concurrentProgramsDoNotOverwriteEachOthersSettings() throws Exception {
        try (RunningJvm child = RunningJvm.start(Borrower.class, "pages_to_scan", "11")) {
            child.awaitLine("borrowed");
            KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 12));
            assertThat(file(KsmSetting.PAGES_TO_SCAN)).isEqualTo("12");
            child.finish();
            assertThat(file(KsmSetting.PAGES_TO_SCAN)).isEqualTo("12");
            session.close();
        }
        assertRestored();
    }

    @Test
    void manyConcurrentProgramsAndThreadsLeaveNothingBehind() throws Exception {
        List<Thread> threads = Stream.generate(() -> new Thread(() -> {
                    for (int i = 0; i < 20; i++) {
                        try (KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 100 + i))) {
                            assertThat(session.settings().values()).hasSize(1);
                        }
                    }
                }))
                .limit(3)
                .toList();
        try (RunningJvm child = RunningJvm.start(Borrower.class, "sleep_millisecs", "11")) {
            threads.forEach(Thread::start);
            child.awaitLine("borrowed");
            assertThat(file(KsmSetting.SLEEP_MILLISECS)).isEqualTo("11");
            child.finish();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        await().atMost(PATIENCE).untilAsserted(this::assertRestored);
    }

    @Test
    void aProgramWithoutTheRightToWriteChangesNothing() throws IOException {
        String mount = "mount --bind " + SYSFS + " " + SYSFS + " && mount -o remount,bind,ro " + SYSFS;
        ChildJvm child = ChildJvm.run(
                List.of("unshare", "--mount", "sh", "-c", mount + " && exec \"$0\" \"$@\""),
                Borrower.class,
                List.of(),
                "pages_to_scan",
                "11");
        assertThat(child.exitStatus()).isNotZero();
        assertThat(child.output())
                .contains("KsmPermissionException: this process may not write " + SYSFS.resolve("pages_to_scan"));
        assertRestored();
    }

    /** Borrows a setting until its standard input ends, and exits without closing the session. */
    static final class Borrower {

        private Borrower() {}

        @SuppressWarnings("resource") // The test checks what happens to it.
        public static void main(String[] args) throws IOException {
            KsmSession session =
                    KsmDaemon.system().borrow(with(KsmSetting.ofFile(args[0]).orElseThrow(), Long.parseLong(args[1])));
            System.out.println("borrowed");
            while (System.in.read() >= 0) {
                // until the end
            }
            System.out.println(session);
        }
    }

    /** A program that changes no settings. */
    static final class Marker {

        private Marker() {}

        public static void main(String[] args) {
            Ksm.system().allocate(1).close();
        }
    }

    /** A program that only reads. */
    static final class Reader {

        private Reader() {}

        public static void main(String[] args) {
            System.out.println(KsmDaemon.system().settings());
        }
    }
}
