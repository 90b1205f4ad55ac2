// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmPermissionException;
import io.ksm4j.internal.Descriptors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The files of the settings, and the kernel's rules for them. Keeps nothing, and so is safe for use by multiple
 * threads.
 */
final class SettingFiles {

    private final Path directory;

    /** @param directory {@code /sys/kernel/mm/ksm} */
    SettingFiles(Path directory) {
        this.directory = directory;
    }

    /** {@return whether this kernel has the setting, and this process can see it} */
    boolean has(KsmSetting setting) {
        return Files.exists(file(setting));
    }

    boolean isWritable(KsmSetting setting) {
        return Files.isWritable(file(setting));
    }

    /** {@return the settings that this kernel has} */
    KsmSettings readAll() {
        KsmSettings settings = KsmSettings.EMPTY;
        for (KsmSetting setting : KsmSetting.values()) {
            if (has(setting)) {
                settings = settings.withUnchecked(setting, read(setting));
            }
        }
        return settings;
    }

    /**
     * Reads one setting.
     *
     * @throws UncheckedIOException if the file cannot be read, or does not contain a value of the setting
     */
    long read(KsmSetting setting) {
        String text = readText(setting.file());
        if (text.isEmpty()) {
            throw new UncheckedIOException(new IOException(file(setting)
                    + " is empty: something is mounted over it, as in a container, so run this outside of it"));
        }
        try {
            return setting.parse(text);
        } catch (NumberFormatException e) {
            throw new UncheckedIOException(
                    new IOException(file(setting) + " contains '" + text + "', which is not a value of it", e));
        }
    }

    /**
     * Writes one setting and reads it back. Linux 6.18, for example, silently truncates {@code advisor_max_cpu}.
     *
     * @throws KsmPermissionException if this process may not write the file
     * @throws KsmSettingException if the kernel refuses the value, or the setting has another value afterwards
     * @throws UncheckedIOException if no file descriptor is free, or the setting cannot be read back
     */
    void write(KsmSetting setting, long value) {
        try {
            PlainFile.write(file(setting), setting.textOf(value) + "\n");
        } catch (IOException e) {
            throw causeOf(e, setting, value);
        }
        long now = read(setting);
        if (now != value) {
            throw new SettingRefusedException(
                    setting,
                    file(setting) + " is " + setting.textOf(now) + " after " + setting.textOf(value)
                            + " was written: another program changed it at the same time, or the kernel does not"
                            + " accept this value");
        }
    }

    /** Finds the cause of a failed write by checking what may be wrong: Java does not expose errno. */
    private RuntimeException causeOf(IOException failure, KsmSetting setting, long value) {
        if (Descriptors.areUsedUp()) {
            return new UncheckedIOException("cannot write " + file(setting) + ": " + Descriptors.USED_UP, failure);
        }
        if (!isWritable(setting)) {
            return notPermitted(setting);
        }
        KsmSettingException cause = setting.needsNothingMerged() && pagesShared() > 0
                ? busy(setting)
                : new SettingRefusedException(
                        setting,
                        "the kernel refuses " + setting.textOf(value) + " for " + file(setting) + ": "
                                + failure.getMessage());
        cause.initCause(failure);
        return cause;
    }

    /**
     * Checks everything that can be known before settings are written.
     *
     * @param wanted the settings to write
     * @param before the current settings
     * @throws NoSuchSettingException if this kernel lacks one of them
     * @throws KsmPermissionException if this process may not write one of them
     * @throws SettingRefusedException if the settings would contradict each other
     * @throws SettingBusyException if pages are merged and one of them can only change while no page is
     */
    void require(KsmSettings wanted, KsmSettings before) {
        for (KsmSetting setting : wanted.values().keySet()) {
            if (before.get(setting).isEmpty()) {
                throw new NoSuchSettingException(
                        setting,
                        "there is no " + file(setting)
                                + ": this kernel does not have the setting, has no KSM, or a container hides it");
            }
            if (!isWritable(setting)) {
                throw notPermitted(setting);
            }
        }
        KsmSettings after = before.with(wanted);
        if (after.get(KsmSetting.ADVISOR_MODE).orElse(KsmSetting.NONE) == KsmSetting.SCAN_TIME
                && wanted.get(KsmSetting.PAGES_TO_SCAN).isPresent()
                && !wanted.get(KsmSetting.PAGES_TO_SCAN).equals(before.get(KsmSetting.PAGES_TO_SCAN))) {
            throw new SettingRefusedException(
                    KsmSetting.PAGES_TO_SCAN,
                    "the kernel chooses pages_to_scan while advisor_mode is scan-time: set advisor_mode to none");
        }
        if (after.get(KsmSetting.ADVISOR_MIN_PAGES_TO_SCAN).orElse(0)
                > after.get(KsmSetting.ADVISOR_MAX_PAGES_TO_SCAN).orElse(Long.MAX_VALUE)) {
            throw new SettingRefusedException(
                    KsmSetting.ADVISOR_MIN_PAGES_TO_SCAN,
                    "advisor_min_pages_to_scan would be above advisor_max_pages_to_scan: " + after);
        }
        for (KsmSetting setting : wanted.values().keySet()) {
            if (setting.needsNothingMerged()
                    && !wanted.get(setting).equals(before.get(setting))
                    && wanted.get(KsmSetting.RUN).orElse(1) != 2
                    && pagesShared() > 0) {
                throw busy(setting);
            }
        }
    }

    /** {@return the order to write settings in: first what stops {@code ksmd} or the advisor, last what starts them} */
    static List<Map.Entry<KsmSetting, Long>> inOrder(KsmSettings settings) {
        List<Map.Entry<KsmSetting, Long>> first = new ArrayList<>();
        List<Map.Entry<KsmSetting, Long>> others = new ArrayList<>();
        List<Map.Entry<KsmSetting, Long>> last = new ArrayList<>();
        for (Map.Entry<KsmSetting, Long> value : settings.values().entrySet()) {
            switch (value.getKey()) {
                case RUN -> (value.getValue() == 1 ? last : first).add(0, value);
                case ADVISOR_MODE -> (value.getValue() == KsmSetting.NONE ? first : last).add(0, value);
                default -> others.add(value);
            }
        }
        first.addAll(others);
        first.addAll(last);
        return first;
    }

    private long pagesShared() {
        return Long.parseLong(readText("pages_shared"));
    }

    private String readText(String name) {
        Path file = directory.resolve(name);
        try {
            return PlainFile.read(file).strip();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + Descriptors.reason(e), e);
        }
    }

    private Path file(KsmSetting setting) {
        return directory.resolve(setting.file());
    }

    private KsmPermissionException notPermitted(KsmSetting setting) {
        return new KsmPermissionException("this process may not write " + file(setting)
                + ": run it as root, and on the host if it is in a container whose /sys is read-only");
    }

    private static SettingBusyException busy(KsmSetting setting) {
        return new SettingBusyException(
                setting,
                setting.file()
                        + " changes only while no page is merged: set run to 2 first, which unmerges all pages of"
                        + " the machine and needs the memory for it");
    }
}
