package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
import io.ksm4j.internal.Descriptors;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The kernel's thread {@code ksmd}, by its settings in {@code /sys/kernel/mm/ksm}. They belong to the whole machine: {@link #change}
 * leaves them changed, {@link #borrow} puts them back.
 *
 * <pre>{@code
 * KsmDaemon ksmd = KsmDaemon.system();
 * try (KsmSession fast = ksmd.borrow(KsmSettings.EMPTY.with(KsmSetting.PAGES_TO_SCAN, 5000).with(KsmSetting.RUN, 1))) {
 *     ksm.awaitMerged(regions, 0.9, Duration.ofMinutes(1));
 * }
 * }</pre>
 *
 * <p>Any user may read the settings, and root alone may change them. Safe for use by many threads; what two of them change at once is
 * changed in some order.
 */
public final class KsmDaemon {

    private static final KsmDaemon SYSTEM = new KsmDaemon(Path.of("/sys/kernel/mm/ksm"), SessionFile.ofThisMachine());

    private static final AtomicBoolean RECOVERED = new AtomicBoolean();

    private final Path sysfs;
    private final SessionFile sessions;

    KsmDaemon(Path sysfs, SessionFile sessions) {
        this.sysfs = sysfs;
        this.sessions = sessions;
    }

    /**
     * The one of this machine. The first call puts back what ksm4j programs that were killed have borrowed, if this process may.
     *
     * @return always the same one
     */
    public static KsmDaemon system() {
        if (RECOVERED.compareAndSet(false, true)) {
            SYSTEM.recover();
        }
        return SYSTEM;
    }

    /** Puts back what killed programs have left. That it cannot be done is nothing that whoever only reads settings must hear of. */
    boolean recover() {
        try {
            return mayChange() && KsmSession.recover(this, sessions);
        } catch (KsmException | UncheckedIOException e) {
            System.getLogger("io.ksm4j")
                    .log(
                            System.Logger.Level.WARNING,
                            "settings of ksmd that a killed program has left could not be put back: " + e.getMessage());
            return false;
        }
    }

    /**
     * The settings as they are.
     *
     * @return those that this kernel has; {@link KsmSettings#EMPTY} where there is no KSM or a container hides it
     * @throws UncheckedIOException if a file cannot be read, or holds something else than a value of its setting
     */
    public KsmSettings settings() {
        KsmSettings settings = KsmSettings.EMPTY;
        for (KsmSetting setting : KsmSetting.values()) {
            if (has(setting)) {
                settings = settings.withUnchecked(setting, read(setting));
            }
        }
        return settings;
    }

    /** Whether this kernel has the setting, and shows it. */
    boolean has(KsmSetting setting) {
        return Files.exists(file(setting));
    }

    /**
     * Whether this process may change settings, as far as the permissions of files say.
     *
     * @return false without root, without KSM, and where {@code /sys} is read-only
     */
    public boolean mayChange() {
        return Files.isWritable(file(KsmSetting.RUN));
    }

    /**
     * Changes settings for good, all or none. What can be known to fail is not tried: the rules below are checked first, and each value
     * is read back after it was written. On failure, what was changed already is put back.
     *
     * <p>{@link KsmSetting#MERGE_ACROSS_NODES} and {@link KsmSetting#MAX_PAGE_SHARING} change only while no page is merged; with
     * {@link KsmSetting#RUN} at 2 among the settings, pages are taken apart first. {@link KsmSetting#PAGES_TO_SCAN} cannot be
     * changed while the advisor chooses it, and the advisor's least must not be above its most.
     *
     * @param wanted the settings to change; those that have the value already are left alone
     * @throws NoSuchSettingException if this kernel does not have one of them
     * @throws KsmPermissionException if this process has no right to change them
     * @throws SettingBusyException if pages are merged and one of them changes only while none is
     * @throws SettingRefusedException if values contradict each other, or the kernel refuses one
     * @throws UncheckedIOException if a setting cannot be read
     */
    public void change(KsmSettings wanted) {
        KsmSettings before = settings();
        require(wanted, before);
        List<KsmSetting> changed = new ArrayList<>();
        try {
            for (Map.Entry<KsmSetting, Long> value : inOrder(wanted)) {
                if (before.get(value.getKey()).orElseThrow() != value.getValue()) {
                    changed.add(0, value.getKey());
                    write(value.getKey(), value.getValue());
                }
            }
        } catch (RuntimeException e) {
            putBack(changed, before, e);
            throw e;
        }
    }

    private void putBack(List<KsmSetting> changed, KsmSettings before, RuntimeException failure) {
        if (changed.contains(KsmSetting.ADVISOR_MODE) && !changed.contains(KsmSetting.PAGES_TO_SCAN)) {
            // The advisor has chosen another number.
            changed.add(KsmSetting.PAGES_TO_SCAN);
        }
        for (KsmSetting setting : changed) {
            try {
                write(setting, before.get(setting).orElseThrow());
            } catch (KsmException | UncheckedIOException stays) {
                failure.addSuppressed(stays);
            }
        }
    }

    /**
     * Changes settings until the session is closed: {@link KsmSession} says how they are put back.
     *
     * @param wanted the settings to change
     * @return an open session
     * @throws IllegalStateException if the JVM is exiting
     * @throws NoSuchSettingException as {@link #change}
     * @throws KsmPermissionException as {@link #change}, and if the file that remembers sessions cannot be written
     * @throws SettingBusyException as {@link #change}
     * @throws SettingRefusedException as {@link #change}
     * @throws UncheckedIOException if a setting or the file that remembers sessions cannot be read or written
     */
    public KsmSession borrow(KsmSettings wanted) {
        return KsmSession.open(this, sessions, wanted);
    }

    void require(KsmSettings wanted, KsmSettings before) {
        for (KsmSetting setting : wanted.values().keySet()) {
            if (before.get(setting).isEmpty()) {
                throw new NoSuchSettingException(
                        setting,
                        "there is no " + file(setting)
                                + ": this kernel does not have the setting, has no KSM, or a container hides it");
            }
            if (!Files.isWritable(file(setting))) {
                throw noRight(setting);
            }
        }
        KsmSettings after = before.with(wanted);
        if (after.get(KsmSetting.ADVISOR_MODE).orElse(KsmSetting.NONE) == KsmSetting.SCAN_TIME
                && wanted.get(KsmSetting.PAGES_TO_SCAN).isPresent()
                && !wanted.get(KsmSetting.PAGES_TO_SCAN).equals(before.get(KsmSetting.PAGES_TO_SCAN))) {
            throw new SettingRefusedException(
                    KsmSetting.PAGES_TO_SCAN,
                    "pages_to_scan is chosen by the kernel while advisor_mode is scan-time: set advisor_mode to none");
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

    /** First what stops {@code ksmd} or the advisor, last what starts them. */
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

    /** Writes one value and reads it back. */
    void write(KsmSetting setting, long value) {
        try {
            PlainFile.write(file(setting), setting.textOf(value) + "\n");
        } catch (IOException e) {
            if (Descriptors.areUsedUp()) {
                throw new UncheckedIOException("cannot write " + file(setting) + ": " + Descriptors.USED_UP, e);
            }
            if (!Files.isWritable(file(setting))) {
                throw noRight(setting);
            }
            // The errno is in the message alone, in the words of the locale: so look.
            KsmSettingException cause = setting.needsNothingMerged() && pagesShared() > 0
                    ? busy(setting)
                    : new SettingRefusedException(
                            setting,
                            "the kernel refuses " + setting.textOf(value) + " for " + file(setting) + ": "
                                    + e.getMessage());
            cause.initCause(e);
            throw cause;
        }
        long now = read(setting);
        if (now != value) {
            throw new SettingRefusedException(
                    setting,
                    file(setting) + " is " + setting.textOf(now) + " after " + setting.textOf(value)
                            + " was written: somebody else has changed it at the same time, or the kernel takes no such"
                            + " value");
        }
    }

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
                    new IOException(file(setting) + " holds '" + text + "', which is no value of it", e));
        }
    }

    private long pagesShared() {
        return Long.parseLong(readText("pages_shared"));
    }

    private String readText(String name) {
        Path file = sysfs.resolve(name);
        try {
            return PlainFile.read(file).strip();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + Descriptors.reason(e), e);
        }
    }

    private Path file(KsmSetting setting) {
        return sysfs.resolve(setting.file());
    }

    private KsmPermissionException noRight(KsmSetting setting) {
        return new KsmPermissionException("this process may not write " + file(setting)
                + ": run it as root, on the host if this is a container whose /sys is read-only");
    }

    private static SettingBusyException busy(KsmSetting setting) {
        return new SettingBusyException(
                setting,
                setting.file()
                        + " changes only while no page is merged: set run to 2 first, which takes all merged pages of"
                        + " the machine apart and needs the memory for it");
    }
}
