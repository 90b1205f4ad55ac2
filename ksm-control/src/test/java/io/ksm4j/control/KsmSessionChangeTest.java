// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Tag;

/** {@link KsmSession#change}. */
@Tag("more")
class KsmSessionChangeTest extends SettingFilesFixture {

    private static KsmSettings pages(long pages) {
        return KsmSettings.EMPTY.with(KsmSetting.PAGES_TO_SCAN, pages);
    }

    @Example
    void settingsThatAreNoLongerWantedAreRestoredAtOnce() {
        try (KsmSession session = ksmd.borrow(pages(7).with(KsmSetting.RUN, 1))) {
            KsmSettings other = pages(8).with(KsmSetting.SLEEP_MILLISECS, 3);
            session.change(other);
            assertThat(session.settings()).isEqualTo(other);
            assertThat(ksmd.settings()).isEqualTo(before.with(other));
        }
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
    }

    @Property(tries = 100)
    void closeRestoresEverythingAfterManyChanges(@ForAll Random random) {
        try (KsmSession session = ksmd.borrow(pages(7))) {
            for (int i = 0; i < 5; i++) {
                KsmSettings wanted = random.nextBoolean() ? KsmSettings.EMPTY : pages(random.nextInt(500));
                if (random.nextBoolean()) {
                    wanted = wanted.with(KsmSetting.RUN, random.nextInt(2));
                }
                session.change(wanted);
                assertThat(ksmd.settings()).isEqualTo(before.with(wanted));
            }
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Example
    void theValueOfALaterSessionStillApplies() {
        try (KsmSession first = ksmd.borrow(pages(7))) {
            try (KsmSession second = ksmd.borrow(pages(8))) {
                first.change(pages(9));
                assertThat(ksmd.settings()).isEqualTo(before.with(second.settings()));
            }
            assertThat(ksmd.settings()).isEqualTo(before.with(first.settings()));
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Example
    void externalChangesWin() throws IOException {
        KsmSession session = ksmd.borrow(pages(7));
        write(KsmSetting.PAGES_TO_SCAN, 77);
        assertThatThrownBy(() -> session.change(pages(8)))
                .isInstanceOf(SettingRefusedException.class)
                .hasMessage("another program has set pages_to_scan to 77 in the meantime");
        session.close();
        assertThat(ksmd.settings()).isEqualTo(before.with(pages(77)));
    }

    @Example
    void aRefusedChangeKeepsTheBorrowedSettings() {
        try (KsmSession session = ksmd.borrow(pages(7))) {
            KsmSettings wanted = pages(8).with(KsmSetting.SMART_SCAN, 1);
            assertThatThrownBy(() -> session.change(wanted)).isInstanceOf(NoSuchSettingException.class);
            assertThat(session.settings()).isEqualTo(pages(7));
            assertThat(ksmd.settings()).isEqualTo(before.with(pages(7)));
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    /** A read-only kernel counter stands in for a setting that refuses a value: root can open but not write it. */
    @Example
    void aChangeThatTheKernelRefusesHasNoEffect() throws IOException {
        Path counter = Path.of("/sys/kernel/mm/ksm/pages_volatile");
        if (!Boolean.getBoolean("ksm.required")) {
            assumeTrue(Files.isWritable(counter), "no KSM, or not root");
        }
        Files.createSymbolicLink(sysfs.resolve("smart_scan"), counter);
        KsmSettings wanted = pages(8).with(KsmSetting.RUN, 1)
                .with(KsmSetting.SMART_SCAN, settingFiles.read(KsmSetting.SMART_SCAN) == 0 ? 1 : 0);
        try (KsmSession session = ksmd.borrow(pages(7).with(KsmSetting.SLEEP_MILLISECS, 3))) {
            KsmSettings borrowed = ksmd.settings();
            String recorded = Files.readString(state);
            assertThatThrownBy(() -> session.change(wanted)).isInstanceOf(SettingRefusedException.class);
            assertThat(ksmd.settings()).isEqualTo(borrowed);
            assertThat(state).hasContent(recorded);
            assertThatThrownBy(() -> ksmd.borrow(wanted)).isInstanceOf(SettingRefusedException.class);
            assertThat(ksmd.settings()).isEqualTo(borrowed);
            assertThat(state).hasContent(recorded);
        }
        assertThat(ksmd.settings())
                .isEqualTo(before.withUnchecked(KsmSetting.SMART_SCAN, settingFiles.read(KsmSetting.SMART_SCAN)));
        assertThat(state).doesNotExist();
    }

    @Example
    void aClosedSessionCannotChange() {
        KsmSession session = ksmd.borrow(pages(7));
        session.close();
        assertThatThrownBy(() -> session.change(pages(8))).isInstanceOf(IllegalStateException.class);
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    /** The file records that 7 was written and 8 is wanted; the kernel may have either value. */
    @Property(tries = 10)
    void settingsAreRestoredIfAProgramIsKilledDuringAChange(@ForAll boolean wasWritten) throws IOException {
        SessionFile.Lease lease = new SessionFile.Lease(ProcessHandle.current().pid(), 1, "killed", pages(8));
        SessionFile.State killed =
                new SessionFile.State(Map.of(KsmSetting.PAGES_TO_SCAN, new SessionFile.Found(100, 7)), List.of(lease));
        file.locked(known -> {
            file.write(killed);
            return known;
        });
        write(KsmSetting.PAGES_TO_SCAN, wasWritten ? 8 : 7);
        assertThat(ksmd.recover()).isTrue();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(state).doesNotExist();
    }
}
