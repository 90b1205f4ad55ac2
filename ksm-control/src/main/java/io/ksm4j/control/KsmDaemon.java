// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The settings of the kernel thread {@code ksmd}, in {@code /sys/kernel/mm/ksm}. They apply to the whole machine.
 * {@link #change} changes them permanently; {@link #borrow} changes them until they are restored.
 *
 * <pre>{@code
 * KsmDaemon ksmd = KsmDaemon.system();
 * try (KsmSession fast = ksmd.borrow(KsmSettings.EMPTY.with(KsmSetting.PAGES_TO_SCAN, 5000).with(KsmSetting.RUN, 1))) {
 *     ksm.awaitMerged(regions, 0.9, Duration.ofMinutes(1));
 * }
 * }</pre>
 *
 * <p>Any user may read the settings; only root may change them. Safe for use by multiple threads; concurrent changes
 * are applied in some order.
 *
 * @since 0.1.0
 */
public final class KsmDaemon {

    private static final KsmDaemon SYSTEM = new KsmDaemon(Path.of("/sys/kernel/mm/ksm"), SessionFile.ofThisMachine());

    private static final AtomicBoolean RECOVERED = new AtomicBoolean();

    private final SettingFiles files;
    private final BorrowedSettings borrowed;

    KsmDaemon(Path directory, SessionFile sessions) {
        files = new SettingFiles(directory);
        borrowed = new BorrowedSettings(files, sessions);
    }

    /**
     * Returns the {@code ksmd} of this machine. The first call restores settings that killed ksm4j programs had
     * borrowed, if this process has permission; a failure is only logged.
     *
     * @return always the same object
     */
    public static KsmDaemon system() {
        if (RECOVERED.compareAndSet(false, true)) {
            SYSTEM.recover();
        }
        return SYSTEM;
    }

    /**
     * Restores what killed programs have left behind. A failure is only logged, since it does not concern programs that
     * only read settings.
     *
     * @return whether anything was borrowed
     */
    boolean recover() {
        try {
            return mayChange() && borrowed.recover();
        } catch (KsmException | UncheckedIOException e) {
            System.getLogger("io.ksm4j")
                    .log(
                            System.Logger.Level.WARNING,
                            "could not restore settings of ksmd that a killed program left behind: " + e.getMessage());
            return false;
        }
    }

    /**
     * Returns the current settings.
     *
     * @return the settings that this kernel has; {@link KsmSettings#EMPTY} if the kernel has no KSM or a container
     *     hides it
     * @throws UncheckedIOException if a file cannot be read, or does not contain a value of its setting
     */
    public KsmSettings settings() {
        return files.readAll();
    }

    /**
     * Returns whether this process may change settings, judging by file permissions.
     *
     * @return false without root, without KSM, and where {@code /sys} is read-only
     */
    public boolean mayChange() {
        return files.isWritable(KsmSetting.RUN);
    }

    /**
     * Changes settings permanently, all or none. The rules below are checked before the first write, and each value is
     * read back after it is written. If a write fails, the settings that were already changed are restored.
     *
     * <p>{@link KsmSetting#MERGE_ACROSS_NODES} and {@link KsmSetting#MAX_PAGE_SHARING} can only change while no page is
     * merged; if {@link KsmSetting#RUN} is set to 2 along with them, pages are unmerged first. {@link
     * KsmSetting#PAGES_TO_SCAN} cannot change while the advisor chooses it. The advisor's minimum must not exceed its
     * maximum.
     *
     * @param wanted the settings to change; those that already have the value are not written
     * @throws NoSuchSettingException if this kernel does not have one of the settings
     * @throws KsmPermissionException if this process may not change the settings
     * @throws SettingBusyException if one of the settings can only change while no page is merged, and pages are merged
     * @throws SettingRefusedException if values contradict each other, or the kernel refuses one
     * @throws UncheckedIOException if a setting cannot be read
     */
    public void change(KsmSettings wanted) {
        KsmSettings before = settings();
        files.require(wanted, before);
        List<KsmSetting> changed = new ArrayList<>();
        try {
            for (Map.Entry<KsmSetting, Long> value : SettingFiles.inOrder(wanted)) {
                if (before.get(value.getKey()).orElseThrow() != value.getValue()) {
                    changed.add(0, value.getKey());
                    files.write(value.getKey(), value.getValue());
                }
            }
        } catch (RuntimeException e) {
            undo(changed, before, e);
            throw e;
        }
    }

    private void undo(List<KsmSetting> changed, KsmSettings before, RuntimeException failure) {
        if (changed.contains(KsmSetting.ADVISOR_MODE) && !changed.contains(KsmSetting.PAGES_TO_SCAN)) {
            // The advisor has chosen another number.
            changed.add(KsmSetting.PAGES_TO_SCAN);
        }
        for (KsmSetting setting : changed) {
            try {
                files.write(setting, before.get(setting).orElseThrow());
            } catch (KsmException | UncheckedIOException notRestored) {
                failure.addSuppressed(notRestored);
            }
        }
    }

    /**
     * Changes settings until the session is closed. {@link KsmSession} describes how they are restored.
     *
     * @param wanted the settings to change
     * @return an open session
     * @throws IllegalStateException if the JVM is exiting
     * @throws NoSuchSettingException as {@link #change}
     * @throws KsmPermissionException as {@link #change}, and if the file of sessions cannot be written
     * @throws SettingBusyException as {@link #change}
     * @throws SettingRefusedException as {@link #change}
     * @throws UncheckedIOException if a setting or the file of sessions cannot be read or written
     */
    public KsmSession borrow(KsmSettings wanted) {
        return KsmSession.open(borrowed, wanted);
    }
}
