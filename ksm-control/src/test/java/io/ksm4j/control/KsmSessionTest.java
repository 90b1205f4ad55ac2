// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.KsmPermissionException;
import io.ksm4j.testsupport.Warnings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;
import net.jqwik.api.constraints.IntRange;

/** Sessions on a temporary directory of setting files. */
@Tag("more")
class KsmSessionTest extends SettingFilesFixture {

    private static KsmSettings with(KsmSetting setting, long value) {
        return KsmSettings.EMPTY.with(setting, value);
    }

    @Example
    void closeRestoresBorrowedSettingsOnce() throws IOException {
        KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7).with(KsmSetting.RUN, 1));
        assertThat(ksmd.settings()).isEqualTo(before.with(session.settings()));
        assertThat(state).exists();
        session.close();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
        write(KsmSetting.PAGES_TO_SCAN, 8);
        session.close();
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(8);
    }

    /** The value of the last open session applies; after the last close everything is as before. */
    @Property(tries = 100)
    void concurrentSessionsMayCloseInAnyOrder(@ForAll @IntRange(min = 1, max = 5) int count, @ForAll Random random) {
        List<KsmSession> open = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            KsmSettings wanted = with(KsmSetting.SLEEP_MILLISECS, random.nextInt(50));
            if (random.nextBoolean()) {
                wanted = wanted.with(KsmSetting.PAGES_TO_SCAN, random.nextInt(1000));
            }
            open.add(ksmd.borrow(wanted));
            assertThat(ksmd.settings()).isEqualTo(expected(before, open));
        }
        while (!open.isEmpty()) {
            open.remove(random.nextInt(open.size())).close();
            assertThat(ksmd.settings()).isEqualTo(expected(before, open));
        }
        assertThat(state).doesNotExist();
    }

    private static KsmSettings expected(KsmSettings before, List<KsmSession> open) {
        KsmSettings expected = before;
        for (KsmSession session : open) {
            expected = expected.with(session.settings());
        }
        return expected;
    }

    @Example
    void externalChangesSurviveClose() throws IOException {
        KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7).with(KsmSetting.SLEEP_MILLISECS, 7));
        write(KsmSetting.PAGES_TO_SCAN, 77);
        session.close();
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(77);
        assertThat(ksmd.settings().get(KsmSetting.SLEEP_MILLISECS)).hasValue(20);
        assertThat(state).doesNotExist();
    }

    @Example
    void externalChangesSurviveTheCloseOfALaterSession() throws IOException {
        KsmSession first = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7));
        write(KsmSetting.PAGES_TO_SCAN, 77);
        KsmSession second = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 8));
        assertThatThrownBy(() -> first.change(with(KsmSetting.PAGES_TO_SCAN, 9)))
                .isInstanceOf(SettingRefusedException.class);
        second.close();
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(77);
        first.close();
        assertThat(ksmd.settings()).isEqualTo(before.with(with(KsmSetting.PAGES_TO_SCAN, 77)));
        assertThat(state).doesNotExist();
    }

    /** The kernel itself changes the number only under the advisor. */
    @Example
    void externalChangesOfPagesToScanSurviveWhenTheAdvisorIsSwitchedOff() throws IOException {
        Files.writeString(sysfs.resolve("advisor_mode"), "[none] scan-time\n");
        KsmSession session =
                ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7).with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE));
        write(KsmSetting.PAGES_TO_SCAN, 77);
        KsmSettings wanted = with(KsmSetting.PAGES_TO_SCAN, 8);
        assertThatThrownBy(() -> session.change(wanted)).hasMessageContaining("pages_to_scan to 77");
        session.close();
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(77);
    }

    @Example
    void aSessionThatIsRefusedChangesNothing() {
        assertThatThrownBy(() -> ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7).with(KsmSetting.SMART_SCAN, 1)))
                .isInstanceOf(NoSuchSettingException.class);
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
    }

    @Example
    void recoveryRestoresSettingsOfAKilledProgram() throws IOException {
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7));
        assertThat(ksmd.settings()).isNotEqualTo(before);
        assertThat(ksmd.recover()).isTrue();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
        assertThat(ksmd.recover()).isFalse();
    }

    @Example
    void settingsOfAKilledProgramAreNotTakenForTheOriginalOnes() throws IOException {
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7));
        try (KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 9))) {
            assertThat(ksmd.settings()).isEqualTo(before.with(session.settings()));
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Example
    void anOpenSessionSurvivesRecovery() {
        try (KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7))) {
            ksmd.recover();
            assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(7);
            assertThat(session.settings().values()).hasSize(1);
        }
    }

    /** Leaves the files as a program does that is killed right after changing settings. */
    private void leaveBehind(KsmSettings settings) {
        leaveBehind(settings, ProcessHandle.current().pid(), 1);
    }

    private void leaveBehind(KsmSettings settings, long pid, long start) {
        file.locked(known -> {
            Map<KsmSetting, SessionFile.Found> found = new EnumMap<>(KsmSetting.class);
            settings.values()
                    .forEach((setting, value) ->
                            found.put(setting, new SessionFile.Found(settingFiles.read(setting), value)));
            file.write(new SessionFile.State(found, List.of(new SessionFile.Lease(pid, start, "killed", settings))));
            ksmd.change(settings);
            return null;
        });
    }

    /** The shell starts a process that ends at once, then becomes one that never waits for it: it stays in /proc. */
    @Example
    void aZombieCountsAsEnded() throws IOException, InterruptedException {
        Process parent = new ProcessBuilder("sh", "-c", "sleep 0 & echo $!; exec sleep 60").start();
        try {
            long pid = Long.parseLong(parent.inputReader().readLine());
            Path stat = Path.of("/proc/" + pid + "/stat");
            long end = System.nanoTime() + PATIENCE.toNanos();
            while (!new ProcessStat(Files.readString(stat)).field(3).equals("Z")) {
                assertThat(System.nanoTime()).as("process has ended").isLessThan(end);
                Thread.onSpinWait();
            }
            long start = Long.parseLong(new ProcessStat(Files.readString(stat)).field(22));
            leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7), pid, start);
            assertThat(ksmd.recover()).isTrue();
            assertThat(ksmd.settings()).isEqualTo(before);
        } finally {
            parent.destroyForcibly().waitFor();
        }
    }

    /** As happens, for example, without a free file descriptor. */
    private KsmSession sessionWhoseCloseFailed() throws IOException {
        KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7));
        Path setting = sysfs.resolve("pages_to_scan");
        Path elsewhere = sysfs.resolve("elsewhere");
        Files.move(setting, elsewhere);
        assertThatThrownBy(session::close)
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(setting.toString());
        Files.move(elsewhere, setting);
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(7);
        return session;
    }

    @Example
    void aFailedCloseCanBeRetried() throws IOException {
        KsmSession session = sessionWhoseCloseFailed();
        assertThatThrownBy(() -> session.change(with(KsmSetting.PAGES_TO_SCAN, 8)))
                .isInstanceOf(IllegalStateException.class);
        session.close();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
    }

    @Example
    void theNextSessionRestoresWhatAFailedCloseDidNot() throws IOException {
        KsmSession session = sessionWhoseCloseFailed();
        ksmd.borrow(with(KsmSetting.SLEEP_MILLISECS, 7)).close();
        assertThat(ksmd.settings()).isEqualTo(before);
        session.close();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
    }

    /** Users who can write there could choose what root writes to the settings. */
    @Example
    void filesThatOthersMayWriteAreNotUsed() throws IOException {
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7));
        for (Path open : List.of(state, state.getParent())) {
            var permissions = Files.getPosixFilePermissions(open);
            for (PosixFilePermission others :
                    List.of(PosixFilePermission.OTHERS_WRITE, PosixFilePermission.GROUP_WRITE)) {
                var more = EnumSet.copyOf(permissions);
                more.add(others);
                Files.setPosixFilePermissions(open, more);
                assertThat(ksmd.recover()).isFalse();
                assertThatThrownBy(() -> ksmd.borrow(with(KsmSetting.SLEEP_MILLISECS, 7)))
                        .isInstanceOf(KsmPermissionException.class)
                        .hasMessageContaining(open + " is " + PosixFilePermissions.toString(more))
                        .hasMessageContaining("rm -r " + open);
            }
            Files.setPosixFilePermissions(open, permissions);
        }
        Path real = Files.move(state.getParent(), state.getParent().resolveSibling("real"));
        Files.createSymbolicLink(state.getParent(), real);
        assertThat(ksmd.recover()).isFalse();
        assertThat(ksmd.settings()).isEqualTo(before.with(with(KsmSetting.PAGES_TO_SCAN, 7)));
    }

    /** A {@code /proc} that shows only what a test creates in it. */
    private Path fakeProc() throws IOException {
        Path proc = sysfs.resolveSibling("proc");
        Files.createDirectories(proc.resolve("self"));
        Files.createDirectories(proc.resolve("sys/kernel/random"));
        Files.writeString(proc.resolve("sys/kernel/random/boot_id"), "a-boot\n");
        return proc;
    }

    @Example
    void aProcessThatCannotBeReadDoesNotCountAsEnded() throws IOException {
        Path proc = fakeProc();
        file = new SessionFile(state.getParent(), proc);
        ksmd = new KsmDaemon(sysfs, file);
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7), 5, 1);
        Files.createDirectories(proc.resolve("5/stat"));
        assertThatThrownBy(() -> ksmd.borrow(with(KsmSetting.SLEEP_MILLISECS, 7)))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("cannot determine whether process 5 has ended");
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(7);
        assertThat(Files.readString(state)).contains("lease 5 1 killed");
    }

    @Example
    void waitingForALockTimesOutAndNamesTheHolder() throws IOException {
        Path proc = fakeProc();
        file = new SessionFile(state.getParent(), proc, Duration.ZERO, Duration.ZERO);
        ksmd = new KsmDaemon(sysfs, file);
        ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7)).close();
        Path path = state.resolveSibling("lock");
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            assertThat(channel.lock().isValid()).isTrue();
            assertLockedBy("another process, which could not be determined: try lsof " + path);
            long device = (Long) Files.getAttribute(path, "unix:dev");
            String id = String.format(
                    Locale.ROOT,
                    "%02x:%02x:%d",
                    device >> 8 & 0xfff,
                    (device & 0xff) | (device >> 12 & 0xffffff00L),
                    (Long) Files.getAttribute(path, "unix:ino"));
            Files.writeString(
                    proc.resolve("locks"),
                    "1: FLOCK  ADVISORY  WRITE 6 fe:00:2154513 0 EOF\n2: POSIX  ADVISORY  WRITE 5 " + id
                            + " 0 EOF\n2: -> POSIX  ADVISORY  WRITE 7 " + id + " 0 EOF\n");
            Files.createDirectory(proc.resolve("5"));
            Files.writeString(proc.resolve("5/stat"), "5 (a (b) c) S 1 5\n");
            assertLockedBy("process 5 (a (b) c)");
            Files.writeString(proc.resolve("5/stat"), "5 (java) T 1 5\n");
            assertLockedBy("process 5 (java), which is stopped: resume it with kill -CONT 5, or end it");
        }
        ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7)).close();
    }

    private void assertLockedBy(String holder) {
        assertThatThrownBy(() -> ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7)))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessage(
                        "cannot lock " + state.resolveSibling("lock") + ": after 0 s it is still held by " + holder);
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Example
    void waitingForALockLogsAWarning() throws Exception {
        file = new SessionFile(state.getParent(), Path.of("/proc"), Duration.ZERO, PATIENCE);
        ksmd = new KsmDaemon(sysfs, file);
        ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7)).close();
        Path path = state.resolveSibling("lock");
        Thread waiting =
                new Thread(() -> ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7)).close());
        try (Warnings warnings = Warnings.ofKsm4j();
                FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE)) {
            assertThat(channel.lock().isValid()).isTrue();
            waiting.start();
            assertThat(warnings.first()).startsWith("waiting for " + path + ", which is held by ");
        }
        waiting.join();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
    }

    /** Read permission is enough to lock a file. */
    @Example
    void otherUsersCannotLockTheFile() throws IOException {
        ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7)).close();
        assertThat(Files.getPosixFilePermissions(state.resolveSibling("lock")))
                .containsExactlyInAnyOrder(PosixFilePermission.OWNER_READ, PosixFilePermission.OWNER_WRITE);
    }

    @Example
    void afterARebootNothingIsRestored() throws IOException {
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7));
        String text = Files.readString(state);
        Files.writeString(state, text.replaceFirst("ksm4j-settings 1 \\S+", "ksm4j-settings 1 another-boot"));
        ksmd.recover();
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(7);
        assertThat(state).doesNotExist();
    }

    @Property(tries = 100)
    void aTruncatedFileIsNotUsed(@ForAll @IntRange(min = 1, max = 10_000) int at) throws IOException {
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7).with(KsmSetting.SLEEP_MILLISECS, 8));
        String text = Files.readString(state);
        String cut = text.substring(0, at % (text.length() - 1));
        Files.writeString(state, cut);
        KsmSettings left = ksmd.settings();
        KsmSettings wanted = with(KsmSetting.RUN, 1);
        assertThatThrownBy(() -> ksmd.borrow(wanted))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining(state.toString())
                .hasMessageContaining("delete the file");
        assertThat(ksmd.settings()).isEqualTo(left);
        assertThat(Files.readString(state)).as("left for the administrator").isEqualTo(cut);
    }

    @Example
    void anInterruptedThreadBorrowsAndRestores() {
        Thread.currentThread().interrupt();
        try {
            KsmSession session = ksmd.borrow(with(KsmSetting.PAGES_TO_SCAN, 7));
            assertThat(ksmd.settings()).isEqualTo(before.with(session.settings()));
            session.close();
            assertThat(ksmd.settings()).isEqualTo(before);
        } finally {
            assertThat(Thread.interrupted()).as("still interrupted").isTrue();
        }
    }

    @Example
    void recoveryLeavesAMalformedFileAlone() throws IOException {
        leaveBehind(with(KsmSetting.PAGES_TO_SCAN, 7));
        Files.writeString(state, "lease 1 2 3");
        assertThat(ksmd.recover()).isFalse();
        assertThat(ksmd.settings().get(KsmSetting.PAGES_TO_SCAN)).hasValue(7);
    }
}
