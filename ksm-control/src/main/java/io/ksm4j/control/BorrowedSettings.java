// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.control.SessionFile.Found;
import io.ksm4j.control.SessionFile.Lease;
import io.ksm4j.control.SessionFile.State;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the settings of {@code ksmd} in line with what sessions have borrowed: each borrowed setting has the value of
 * its last lease, and one without a lease gets back the value it had before. Safe for use by multiple threads.
 */
final class BorrowedSettings {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    private final SettingFiles files;
    private final SessionFile sessions;

    /** Ids of leases that may be in the file. A session that failed before its lease was written has nothing to end. */
    private final Set<String> recorded = ConcurrentHashMap.newKeySet();

    BorrowedSettings(SettingFiles files, SessionFile sessions) {
        this.files = files;
        this.sessions = sessions;
    }

    /** {@return a lease of this process, of no settings yet} */
    Lease newLease(String id) {
        return sessions.lease(id);
    }

    /** {@return whether no setting is borrowed} */
    boolean isEmpty() {
        return sessions.isAbsent();
    }

    /**
     * Restores what killed programs have left behind.
     *
     * @return whether anything was borrowed
     */
    boolean recover() {
        if (sessions.isAbsent()) {
            return false;
        }
        // A program that holds the lock restores settings, too, so waiting for it gains little.
        return sessions.locked(SessionFile.SHORT_TIMEOUT, state -> {
            boolean any = !state.found().isEmpty();
            dropDead(state);
            logNotRestored(settle(state));
            return any;
        });
    }

    /**
     * Lends settings to a new lease, all or none.
     *
     * @param lease the lease of a session that is being opened
     * @param wanted the settings that it will have
     * @throws SettingRefusedException if the kernel refuses one of them
     */
    void borrow(Lease lease, KsmSettings wanted) {
        sessions.locked(state -> {
            dropDead(state);
            logNotRestored(settle(state));
            lend(lease, KsmSettings.EMPTY, wanted, state);
            return null;
        });
    }

    /**
     * Lends other settings to a lease, all or none. Its place in the order of leases stays.
     *
     * @param lease the lease of an open session
     * @param current the settings that it has
     * @param wanted the settings that it will have
     * @throws SettingRefusedException if another program has changed one of the current settings, or the kernel refuses
     *     a wanted one
     */
    void change(Lease lease, KsmSettings current, KsmSettings wanted) {
        sessions.locked(state -> {
            dropDead(state);
            settle(state);
            lend(lease, current, wanted, state);
            return null;
        });
    }

    private void lend(Lease lease, KsmSettings current, KsmSettings wanted, State state) {
        KsmSettings now = files.readAll();
        requireUnchanged(lease, current, state, now);
        files.require(wanted, now);
        State before = new State(state.found(), state.leases());
        int index = indexOf(lease, state);
        if (index < 0) {
            state.leases().add(lease.of(wanted));
        } else {
            state.leases().set(index, lease.of(wanted));
        }
        withAdvised(wanted, now).values().forEach((setting, value) -> {
            long found = now.get(setting).orElse(value);
            state.found().putIfAbsent(setting, new Found(found, found));
        });
        // The lease records what is written next, the found value what was written last: after a kill, the setting has
        // one of the two.
        recorded.add(lease.id());
        sessions.write(state);
        Map<KsmSetting, RuntimeException> notRestored = settle(state);
        RuntimeException failure = takeFailureOf(current.with(wanted), notRestored);
        if (failure != null) {
            State after = new State(state.found(), before.leases());
            before.found().forEach(after.found()::putIfAbsent);
            // The current values were all written by ksm4j, some of them just now.
            after.found().replaceAll((setting, found) -> new Found(found.before(), files.read(setting)));
            logNotRestored(settle(after));
            throw failure;
        }
    }

    /**
     * Ends a lease, and restores its settings. Does nothing if the lease was never recorded. If restoring fails, the
     * lease counts as one of a program that has ended.
     *
     * @param settings the settings of the lease
     * @throws KsmException if one of these settings cannot be restored; the others are
     */
    void end(Lease lease, KsmSettings settings) {
        if (!recorded.contains(lease.id())) {
            return;
        }
        sessions.end(lease);
        sessions.locked(state -> {
            dropDead(state);
            Map<KsmSetting, RuntimeException> notRestored = settle(state);
            RuntimeException own = takeFailureOf(settings, notRestored);
            logNotRestored(notRestored);
            if (own != null) {
                throw own;
            }
            return null;
        });
        sessions.forget(lease);
        recorded.remove(lease.id());
    }

    private static int indexOf(Lease lease, State state) {
        for (int i = 0; i < state.leases().size(); i++) {
            if (state.leases().get(i).id().equals(lease.id())) {
                return i;
            }
        }
        return -1;
    }

    /** Refuses to go on if another program has changed a setting: {@link #settle} has removed it from all leases. */
    private static void requireUnchanged(Lease lease, KsmSettings current, State state, KsmSettings now) {
        int index = indexOf(lease, state);
        KsmSettings left =
                index < 0 ? KsmSettings.EMPTY : state.leases().get(index).settings();
        for (KsmSetting setting : current.values().keySet()) {
            if (left.get(setting).isEmpty()) {
                throw new SettingRefusedException(
                        setting,
                        "another program has set " + setting.file() + " to "
                                + setting.textOf(now.get(setting).orElse(-1)) + " in the meantime");
            }
        }
    }

    /** Removes the leases of programs that have ended, after noting what they wrote. */
    private void dropDead(State state) {
        noteWritten(state);
        state.leases().removeIf(lease -> !sessions.isLive(lease));
    }

    /** A program that was killed while it changed a setting may not have recorded it: its lease says what it wanted. */
    private void noteWritten(State state) {
        for (Lease lease : state.leases()) {
            lease.settings()
                    .values()
                    .forEach((setting, value) -> state.found()
                            .computeIfPresent(
                                    setting,
                                    (s, found) -> files.read(s) == value ? new Found(found.before(), value) : found));
        }
    }

    /**
     * Gives every borrowed setting the value of its last lease, or the value it had before any session borrowed it. A
     * setting that another program has changed keeps its value, and is removed from all leases.
     *
     * @return the settings that could not be written, and why; they stay in the file
     */
    private Map<KsmSetting, RuntimeException> settle(State state) {
        KsmSettings wanted = KsmSettings.EMPTY;
        List<KsmSetting> done = new ArrayList<>();
        for (Map.Entry<KsmSetting, Found> entry : state.found().entrySet()) {
            KsmSetting setting = entry.getKey();
            OptionalLong leased = lastLeased(state, setting);
            long now = files.read(setting);
            boolean isRestored = leased.isEmpty() && now == entry.getValue().before();
            if (!isRestored && !isAsWritten(state, setting, now)) {
                LOGGER.log(
                        Level.WARNING,
                        "another program has set {0} to {1} in the meantime: it keeps this value",
                        setting.file(),
                        setting.textOf(now));
                state.leases().replaceAll(lease -> lease.of(lease.settings().without(setting)));
                done.add(setting);
                continue;
            }
            wanted =
                    wanted.withUnchecked(setting, leased.orElse(entry.getValue().before()));
            if (leased.isEmpty()) {
                done.add(setting);
            }
        }
        if (isAdvised(wanted)) {
            wanted = wanted.without(KsmSetting.PAGES_TO_SCAN);
            if (lastLeased(state, KsmSetting.ADVISOR_MODE).isPresent()) {
                // Restored together with the advisor's mode.
                done.remove(KsmSetting.PAGES_TO_SCAN);
            }
        }
        Map<KsmSetting, RuntimeException> notRestored = new EnumMap<>(KsmSetting.class);
        for (Map.Entry<KsmSetting, Long> value : SettingFiles.inOrder(wanted)) {
            KsmSetting setting = value.getKey();
            try {
                if (files.read(setting) != value.getValue()) {
                    files.write(setting, value.getValue());
                }
                state.found().computeIfPresent(setting, (s, found) -> new Found(found.before(), value.getValue()));
            } catch (KsmException | UncheckedIOException e) {
                done.remove(setting);
                notRestored.put(setting, e);
            }
        }
        done.forEach(state.found()::remove);
        sessions.write(state);
        return notRestored;
    }

    /** {@return whether a setting has the value that ksm4j wrote last, or the advisor may have chosen another} */
    private static boolean isAsWritten(State state, KsmSetting setting, long now) {
        Found found = state.found().get(setting);
        Found advisor = state.found().get(KsmSetting.ADVISOR_MODE);
        boolean isAdvised = advisor != null && advisor.written() == KsmSetting.SCAN_TIME;
        return found != null && (found.written() == now || (setting == KsmSetting.PAGES_TO_SCAN && isAdvised));
    }

    /**
     * Adds {@code pages_to_scan} if the advisor is going to change it: switching the advisor off does not restore it.
     */
    private static KsmSettings withAdvised(KsmSettings wanted, KsmSettings now) {
        OptionalLong pages = now.get(KsmSetting.PAGES_TO_SCAN);
        return wanted.get(KsmSetting.ADVISOR_MODE).isPresent()
                        && wanted.get(KsmSetting.PAGES_TO_SCAN).isEmpty()
                        && pages.isPresent()
                ? wanted.withUnchecked(KsmSetting.PAGES_TO_SCAN, pages.getAsLong())
                : wanted;
    }

    /** {@return whether the kernel chooses {@code pages_to_scan} once these settings are written} */
    private boolean isAdvised(KsmSettings wanted) {
        OptionalLong mode = wanted.get(KsmSetting.ADVISOR_MODE);
        if (mode.isPresent()) {
            return mode.getAsLong() == KsmSetting.SCAN_TIME;
        }
        return files.has(KsmSetting.ADVISOR_MODE) && files.read(KsmSetting.ADVISOR_MODE) == KsmSetting.SCAN_TIME;
    }

    private static OptionalLong lastLeased(State state, KsmSetting setting) {
        OptionalLong last = OptionalLong.empty();
        for (Lease lease : state.leases()) {
            if (lease.settings().get(setting).isPresent()) {
                last = lease.settings().get(setting);
            }
        }
        return last;
    }

    /**
     * Removes the failures of some settings from all failures.
     *
     * @return the first of those removed, with the others suppressed; null if there is none
     */
    private static @Nullable RuntimeException takeFailureOf(
            KsmSettings settings, Map<KsmSetting, RuntimeException> notRestored) {
        RuntimeException first = null;
        for (KsmSetting setting : settings.values().keySet()) {
            RuntimeException failure = notRestored.remove(setting);
            if (first == null) {
                first = failure;
            } else if (failure != null) {
                first.addSuppressed(failure);
            }
        }
        return first;
    }

    /** Only logs: what other sessions left behind must not stop this one. */
    private static void logNotRestored(Map<KsmSetting, RuntimeException> notRestored) {
        notRestored.forEach((setting, failure) -> {
            LOGGER.log(
                    Level.WARNING,
                    setting.file() + " is not restored yet, and the next program that uses ksm4j tries again: "
                            + failure.getMessage());
            LOGGER.log(Level.DEBUG, setting.file() + " is not restored", failure);
        });
    }
}
