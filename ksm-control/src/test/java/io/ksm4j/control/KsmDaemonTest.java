// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The rules, on a temporary directory of files. Integration tests cover how the kernel itself reacts. */
class KsmDaemonTest {

    @TempDir
    Path directory;

    private Path sysfs = Path.of("");
    private KsmDaemon ksmd = KsmDaemon.system();

    @BeforeEach
    void createFiles() throws IOException {
        sysfs = Files.createDirectory(directory.resolve("ksm"));
        write("run", "0");
        write("pages_to_scan", "100");
        write("sleep_millisecs", "20");
        write("max_page_sharing", "256");
        write("smart_scan", "1");
        write("advisor_mode", "[none] scan-time");
        write("advisor_min_pages_to_scan", "500");
        write("advisor_max_pages_to_scan", "30000");
        write("pages_shared", "0");
        ksmd = new KsmDaemon(sysfs, new SessionFile(directory.resolve("state"), Path.of("/proc")));
    }

    private void write(String file, String text) throws IOException {
        Files.writeString(sysfs.resolve(file), text + "\n");
    }

    private String read(KsmSetting setting) throws IOException {
        return Files.readString(sysfs.resolve(setting.file())).strip();
    }

    private static KsmSettings with(KsmSetting setting, long value) {
        return KsmSettings.EMPTY.with(setting, value);
    }

    @Test
    void readsOnlySettingsThatTheKernelHas() {
        assertThat(ksmd.settings().values())
                .isEqualTo(Map.of(
                        KsmSetting.RUN, 0L,
                        KsmSetting.PAGES_TO_SCAN, 100L,
                        KsmSetting.SLEEP_MILLISECS, 20L,
                        KsmSetting.MAX_PAGE_SHARING, 256L,
                        KsmSetting.SMART_SCAN, 1L,
                        KsmSetting.ADVISOR_MODE, 0L,
                        KsmSetting.ADVISOR_MIN_PAGES_TO_SCAN, 500L,
                        KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN, 30_000L));
        KsmDaemon missing = new KsmDaemon(directory.resolve("missing"), new SessionFile(directory, directory));
        assertThat(missing.settings()).isEqualTo(KsmSettings.EMPTY);
        assertThat(missing.mayChange()).isFalse();
    }

    /** Container runtimes mask files with {@code /dev/null}. */
    @Test
    void reportsAMaskedFile() throws IOException {
        Files.write(sysfs.resolve("run"), new byte[0]);

        assertThatThrownBy(ksmd::settings)
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("run is empty: something is mounted over it");
    }

    @Test
    void reportsAMalformedFile() throws IOException {
        write("sleep_millisecs", "soon");
        assertThatThrownBy(ksmd::settings)
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("sleep_millisecs contains 'soon'");
    }

    @Test
    void refusesAMissingSettingBeforeChangingAny() throws IOException {
        KsmSettings wanted = with(KsmSetting.PAGES_TO_SCAN, 7).with(KsmSetting.USE_ZERO_PAGES, 1);
        assertThatThrownBy(() -> ksmd.change(wanted))
                .isInstanceOfSatisfying(
                        NoSuchSettingException.class,
                        e -> assertThat(e.setting()).isEqualTo(KsmSetting.USE_ZERO_PAGES))
                .hasMessageContaining("use_zero_pages");
        assertThat(read(KsmSetting.PAGES_TO_SCAN)).isEqualTo("100");
    }

    @Test
    void refusesContradictionsBeforeChangingAny() throws IOException {
        for (KsmSettings wanted : List.of(
                with(KsmSetting.SLEEP_MILLISECS, 1).with(KsmSetting.ADVISOR_MIN_PAGES_TO_SCAN, 30_001),
                with(KsmSetting.SLEEP_MILLISECS, 1).with(KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN, 499),
                with(KsmSetting.SLEEP_MILLISECS, 1)
                        .with(KsmSetting.ADVISOR_MODE, KsmSetting.SCAN_TIME)
                        .with(KsmSetting.PAGES_TO_SCAN, 7))) {
            assertThatThrownBy(() -> ksmd.change(wanted)).isInstanceOf(SettingRefusedException.class);
            assertThat(read(KsmSetting.SLEEP_MILLISECS)).isEqualTo("20");
        }
    }

    @Test
    void refusesSettingsThatCannotChangeWhilePagesAreMerged() throws IOException {
        write("pages_shared", "1");
        KsmSettings wanted = with(KsmSetting.SLEEP_MILLISECS, 1).with(KsmSetting.MAX_PAGE_SHARING, 300);
        assertThatThrownBy(() -> ksmd.change(wanted))
                .isInstanceOf(SettingBusyException.class)
                .hasMessageContaining("set run to 2 first");
        assertThat(read(KsmSetting.SLEEP_MILLISECS)).isEqualTo("20");
        ksmd.change(with(KsmSetting.MAX_PAGE_SHARING, 256));
        ksmd.change(wanted.with(KsmSetting.RUN, 2));
        assertThat(read(KsmSetting.MAX_PAGE_SHARING)).isEqualTo("300");
    }

    /** A read-only kernel counter stands in for a setting that refuses a value: root can open but not write it. */
    @Test
    void aRefusalRestoresSettingsThatWereAlreadyChanged() throws IOException {
        Path counter = Path.of("/sys/kernel/mm/ksm/pages_volatile");
        if (!Boolean.getBoolean("ksm.required")) {
            assumeTrue(Files.isWritable(counter), "no KSM, or not root");
        }
        Files.delete(sysfs.resolve("smart_scan"));
        Files.createSymbolicLink(sysfs.resolve("smart_scan"), counter);
        long other = Long.parseLong(read(KsmSetting.SMART_SCAN)) == 0 ? 1 : 0;
        KsmSettings wanted = with(KsmSetting.PAGES_TO_SCAN, 7)
                .with(KsmSetting.RUN, 2)
                .with(KsmSetting.SMART_SCAN, other)
                .with(KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN, 40_000);
        assertThatThrownBy(() -> ksmd.change(wanted))
                .isInstanceOf(SettingRefusedException.class)
                .hasMessageContaining("smart_scan");
        assertThat(read(KsmSetting.RUN)).isEqualTo("0");
        assertThat(read(KsmSetting.PAGES_TO_SCAN)).isEqualTo("100");
        assertThat(read(KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN)).isEqualTo("30000");
    }

    /** A regular file stores the text unchanged, where the kernel would list all choices. */
    @Test
    void aValueThatCannotBeReadBackIsAnError() throws IOException {
        assertThatThrownBy(() -> ksmd.change(with(KsmSetting.ADVISOR_MODE, KsmSetting.SCAN_TIME)))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("advisor_mode contains 'scan-time'");
    }

    @Test
    void settingsThatStopAreWrittenFirstAndThoseThatStartLast() {
        KsmSettings start = with(KsmSetting.RUN, 1)
                .with(KsmSetting.ADVISOR_MODE, KsmSetting.NONE)
                .with(KsmSetting.PAGES_TO_SCAN, 7)
                .with(KsmSetting.SLEEP_MILLISECS, 7);
        assertThat(SettingFiles.inOrder(start))
                .extracting(Map.Entry::getKey)
                .containsExactly(
                        KsmSetting.ADVISOR_MODE, KsmSetting.PAGES_TO_SCAN, KsmSetting.SLEEP_MILLISECS, KsmSetting.RUN);
        KsmSettings stop = with(KsmSetting.RUN, 2)
                .with(KsmSetting.ADVISOR_MODE, KsmSetting.SCAN_TIME)
                .with(KsmSetting.MAX_PAGE_SHARING, 7)
                .with(KsmSetting.ADVISOR_MAX_CPU, 7);
        assertThat(SettingFiles.inOrder(stop))
                .extracting(Map.Entry::getKey)
                .containsExactly(
                        KsmSetting.RUN,
                        KsmSetting.MAX_PAGE_SHARING,
                        KsmSetting.ADVISOR_MAX_CPU,
                        KsmSetting.ADVISOR_MODE);
    }
}
