// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.control.NoSuchSettingException;
import io.ksm4j.control.SettingBusyException;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** The kernel accepts what ksm4j writes, and its own settings are restored afterwards. */
@OnlyIn({Situation.PLAIN, Situation.NUMA})
@EnabledIfKsm(control = true)
final class Settings {

    private final KsmDaemon ksmd = KsmDaemon.system();

    private static KsmSettings with(KsmSetting setting, long value) {
        return KsmSettings.EMPTY.with(setting, value);
    }

    @Test
    void everySettingOfThisKernelIsBorrowedAndPutBack(RunningKsmd turn) {
        Sharing.awaitNone();
        Map<String, String> before = KernelFiles.settings();
        Map<KsmSetting, Long> settings = ksmd.settings().values();
        assertThat(settings).hasSameSizeAs(before);
        for (Map.Entry<KsmSetting, Long> now : settings.entrySet()) {
            KsmSetting setting = now.getKey();
            long other = now.getValue() < setting.max() ? now.getValue() + 1 : now.getValue() - 1;
            try (KsmSession session = ksmd.borrow(with(setting, other))) {
                assertThat(KernelFiles.settings().get(setting.file()))
                        .as(session.toString())
                        .isEqualTo(setting == KsmSetting.ADVISOR_MODE ? "none [scan-time]\n" : other + "\n");
            }
            assertThat(KernelFiles.settings()).as("after %s", setting).isEqualTo(before);
        }
        assertThat(turn.read("run")).isOne();
    }

    @Test
    void aSettingThatThisKernelLacksIsNamed(RunningKsmd turn) {
        List<KsmSetting> missing = Arrays.stream(KsmSetting.values())
                .filter(setting -> ksmd.settings().get(setting).isEmpty())
                .toList();
        assumeFalse(missing.isEmpty(), "this kernel has all settings");
        Map<String, String> before = KernelFiles.settings();
        for (KsmSetting setting : missing) {
            KsmSettings wanted = with(KsmSetting.SLEEP_MILLISECS, 77).with(setting, setting.max());
            assertThatThrownBy(() -> ksmd.borrow(wanted))
                    .isInstanceOf(NoSuchSettingException.class)
                    .hasMessageContaining("there is no /sys/kernel/mm/ksm/" + setting.file());
            assertThatThrownBy(() -> ksmd.change(wanted)).isInstanceOf(NoSuchSettingException.class);
        }
        assertThat(KernelFiles.settings()).isEqualTo(before);
        assertThat(turn.read("run")).isOne();
    }

    @Test
    void whatChangesOnlyWhileNothingIsMergedIsRefusedWhileSomethingIs(RunningKsmd turn) throws InterruptedException {
        assumeTrue(Feature.MAX_PAGE_SHARING.isThere(), "this kernel has no max_page_sharing");
        Sharing.awaitNone();
        Map<String, String> before = KernelFiles.settings();
        Ksm ksm = Backend.ksm();
        PageContents content = PageContents.unique(ksm.pageSize());
        try (MergeRegion region = ksm.allocate(64 * ksm.pageSize(), Merging.SMALL_PAGES)) {
            content.fill(region.buffer(), page -> 0);
            assertThat(region.awaitMerged(0.5, PATIENCE).isReached()).isTrue();
            KsmSettings wanted = with(KsmSetting.SLEEP_MILLISECS, 77).with(KsmSetting.MAX_PAGE_SHARING, 300);
            assertThatThrownBy(() -> ksmd.borrow(wanted))
                    .isInstanceOf(SettingBusyException.class)
                    .hasMessageContaining("set run to 2 first");
            assertThat(KernelFiles.settings()).isEqualTo(before);
            // As the message says.
            try (KsmSession session = ksmd.borrow(wanted.with(KsmSetting.RUN, 2))) {
                assertThat(KernelFiles.counter("max_page_sharing"))
                        .as(session.toString())
                        .isEqualTo(300);
                assertThat(region.stats().savedBytes()).isZero();
                content.verify(region.buffer(), page -> 0);
            }
            assertThat(KernelFiles.settings()).isEqualTo(before);
        }
        assertThat(turn.read("run")).isOne();
    }

    /** Borrows a setting, and is killed. */
    static final class Borrower {

        private Borrower() {}

        @SuppressWarnings("resource") // The test checks what happens to it.
        public static void main(String[] arguments) throws IOException {
            KsmSession session = KsmDaemon.system().borrow(with(KsmSetting.PAGES_TO_SCAN, 11));
            Child.awaitParent("borrowed");
            Child.say(session.toString());
        }
    }

    /** A program that changes no settings. */
    static final class Marker {

        private Marker() {}

        public static void main(String[] arguments) {
            Ksm.system().allocate(1).close();
            Child.say("marked");
        }
    }

    @Test
    void whatAKilledProgramLeavesTheNextOnePutsBack(RunningKsmd turn) {
        Map<String, String> before = KernelFiles.settings();
        try (RunningJvm killed = RunningJvm.start(Borrower.class)) {
            killed.awaitLine("borrowed");
            killed.kill();
        }
        assertThat(turn.read("pages_to_scan")).isEqualTo(11);
        try (RunningJvm next = RunningJvm.start(Marker.class)) {
            next.awaitLine("marked");
            assertThat(next.awaitExit()).isZero();
        }
        assertThat(KernelFiles.settings()).isEqualTo(before);
    }
}
