package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
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
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Settings of {@code ksmd} that are put back.
 *
 * <p>That is done by {@link #close()}, when the JVM exits without it or after it has failed, and, after a kill or a crash, by the next program on this machine
 * that has this module, may change settings, and asks for {@link KsmDaemon#system()} or {@link io.ksm4j.Ksm#system()}. Other programs
 * cannot. For that, what was found and who has borrowed what stands in the file {@code /run/ksm4j/settings}.
 *
 * <p><b>Several sessions</b>, of one program or of many, do not undo each other. Of two that have borrowed a setting, the later one has its
 * way; when it closes, the earlier one has its own again; the last one to close puts back what the first one found. So the order in
 * which they close does not matter.
 *
 * <p><b>Others</b> that write the files meanwhile have the last word: a setting that somebody else has changed stays so, with a
 * warning to the logger {@code io.ksm4j}.
 *
 * <p>Programs in containers with a {@code /run} of their own do not know of each other. With a {@code /run} in common but process ids of
 * their own they take each other for killed, and put back what the other has borrowed: share both or neither. Safe for use by many threads.
 */
public final class KsmSession implements AutoCloseable {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    /** Held over files, which a monitor must not be: it would keep virtual threads on their carriers. */
    private final ReentrantLock turn = new ReentrantLock();

    private final KsmDaemon ksmd;
    private final SessionFile file;
    private final Lease lease;
    private final Thread atExit = new Thread(this::putBackAtExit, "ksm4j-put-settings-back");
    private volatile KsmSettings settings = KsmSettings.EMPTY;

    /** Nothing is borrowed any more. */
    private boolean closed;

    /** And nothing is owed any more. */
    private boolean isPutBack;

    private KsmSession(KsmDaemon ksmd, SessionFile file) {
        this.ksmd = ksmd;
        this.file = file;
        this.lease = file.lease(UUID.randomUUID().toString());
    }

    static KsmSession open(KsmDaemon ksmd, SessionFile file, KsmSettings wanted) {
        KsmSession session = new KsmSession(ksmd, file);
        Runtime.getRuntime().addShutdownHook(session.atExit);
        try {
            session.borrow(wanted);
        } catch (RuntimeException | Error e) {
            try {
                session.close();
            } catch (KsmException | UncheckedIOException again) {
                e.addSuppressed(again);
            }
            throw e;
        }
        return session;
    }

    /** The exit of the JVM waits for it, or closes the session before. */
    private void borrow(KsmSettings wanted) {
        turn.lock();
        try {
            requireOpen();
            file.locked(state -> {
                dropDead(ksmd, file, state);
                logOwed(settle(ksmd, file, state));
                lend(wanted, state);
                return null;
            });
            settings = wanted;
        } finally {
            turn.unlock();
        }
    }

    /**
     * Puts back what killed programs have left.
     *
     * @return whether there was anything
     */
    static boolean recover(KsmDaemon ksmd, SessionFile file) {
        if (file.isAbsent()) {
            return false;
        }
        // Whoever has the lock puts back, too: it is hardly worth waiting.
        return file.locked(SessionFile.SHORT_PATIENCE, state -> {
            boolean any = !state.found().isEmpty();
            dropDead(ksmd, file, state);
            logOwed(settle(ksmd, file, state));
            return any;
        });
    }

    /**
     * What was borrowed.
     *
     * @return the settings as they were asked for, by the last {@link #change} if there was one
     */
    public KsmSettings settings() {
        return settings;
    }

    /**
     * Borrows other settings instead, all or none, without putting those back meanwhile that have a value in both. In the order of
     * sessions this one stays where it is: a later one still has its way.
     *
     * @param wanted the settings to have from now on; those borrowed so far and not among them are put back
     * @throws IllegalStateException if this session is closed
     * @throws NoSuchSettingException as {@link KsmDaemon#change}
     * @throws KsmPermissionException as {@link KsmDaemon#change}
     * @throws SettingBusyException as {@link KsmDaemon#change}
     * @throws SettingRefusedException as {@link KsmDaemon#change}, and if somebody else has changed a setting that this session has
     *     borrowed: it stays so
     * @throws UncheckedIOException if a setting or the file that remembers sessions cannot be read or written
     */
    public void change(KsmSettings wanted) {
        turn.lock();
        try {
            requireOpen();
            file.locked(state -> {
                dropDead(ksmd, file, state);
                settle(ksmd, file, state);
                lend(wanted, state);
                return null;
            });
            settings = wanted;
        } finally {
            turn.unlock();
        }
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the session is closed, and its settings are put back");
        }
    }

    /** Lets this session have other settings than it has; all or none. */
    private void lend(KsmSettings wanted, State state) {
        KsmSettings now = ksmd.settings();
        requireOurs(state, now);
        ksmd.require(wanted, now);
        State before = new State(state.found(), state.leases());
        int place = indexOfLease(state);
        if (place < 0) {
            state.leases().add(lease.of(wanted));
        } else {
            state.leases().set(place, lease.of(wanted));
        }
        withAdvised(wanted, now).values().forEach((setting, value) -> {
            long found = now.get(setting).orElse(value);
            state.found().putIfAbsent(setting, new Found(found, found));
        });
        // What is written next stands in the lease, what was written last beside what was found: a kill leaves one of
        // them.
        file.write(state);
        Map<KsmSetting, RuntimeException> owed = settle(ksmd, file, state);
        RuntimeException failure = takeFailureOf(settings.with(wanted), owed);
        if (failure != null) {
            State after = new State(state.found(), before.leases());
            before.found().forEach(after.found()::putIfAbsent);
            // All that is there now was written by us, part of it a moment ago.
            after.found().replaceAll((setting, found) -> new Found(found.before(), ksmd.read(setting)));
            logOwed(settle(ksmd, file, after));
            throw failure;
        }
    }

    private int indexOfLease(State state) {
        for (int i = 0; i < state.leases().size(); i++) {
            if (state.leases().get(i).id().equals(lease.id())) {
                return i;
            }
        }
        return -1;
    }

    /** What somebody else has changed is in no lease any more. */
    private void requireOurs(State state, KsmSettings now) {
        int place = indexOfLease(state);
        KsmSettings left =
                place < 0 ? KsmSettings.EMPTY : state.leases().get(place).settings();
        for (KsmSetting setting : settings.values().keySet()) {
            if (left.get(setting).isEmpty()) {
                throw new SettingRefusedException(
                        setting,
                        "somebody else has set " + setting.file() + " to "
                                + setting.textOf(now.get(setting).orElse(-1)) + " meanwhile");
            }
        }
    }

    /** A program that was killed while it changed a setting may not have noted that it did: its lease says what it wanted. */
    private static void noteWritten(KsmDaemon ksmd, State state) {
        for (Lease lease : state.leases()) {
            lease.settings()
                    .values()
                    .forEach((setting, value) -> state.found()
                            .computeIfPresent(
                                    setting,
                                    (s, found) -> ksmd.read(s) == value ? new Found(found.before(), value) : found));
        }
    }

    /** Forgets the leases of programs that are gone, once it is known what they have written. */
    private static void dropDead(KsmDaemon ksmd, SessionFile file, State state) {
        noteWritten(ksmd, state);
        state.leases().removeIf(lease -> !file.isLive(lease));
    }

    /** Whether a setting is as it was written last; of {@code pages_to_scan} the kernel's advisor may have chosen another. */
    private static boolean isOurs(State state, KsmSetting setting, long now) {
        Found found = state.found().get(setting);
        Found advisor = state.found().get(KsmSetting.ADVISOR_MODE);
        boolean isAdvised = advisor != null && advisor.written() == KsmSetting.SCAN_TIME;
        return found != null && (found.written() == now || (setting == KsmSetting.PAGES_TO_SCAN && isAdvised));
    }

    boolean isClosed() {
        turn.lock();
        try {
            return closed;
        } finally {
            turn.unlock();
        }
    }

    /** With the number of pages to scan, if the advisor will choose another one, and leave it there. */
    private static KsmSettings withAdvised(KsmSettings wanted, KsmSettings now) {
        OptionalLong pages = now.get(KsmSetting.PAGES_TO_SCAN);
        return wanted.get(KsmSetting.ADVISOR_MODE).isPresent()
                        && wanted.get(KsmSetting.PAGES_TO_SCAN).isEmpty()
                        && pages.isPresent()
                ? wanted.withUnchecked(KsmSetting.PAGES_TO_SCAN, pages.getAsLong())
                : wanted;
    }

    /**
     * Puts the settings back, as the class says. Once that is done, another call does nothing. Until then, another call tries again, and
     * so do the exit of the JVM and the next session that this program opens, changes or closes.
     *
     * @throws SettingBusyException if a setting changes only while no page is merged, and some are; it stays in the file, for the next
     *     program
     * @throws KsmException if a setting cannot be put back otherwise; the others are
     * @throws UncheckedIOException if the file of sessions cannot be read or written
     */
    @Override
    public void close() {
        putBack();
        removeHook();
    }

    private void putBackAtExit() {
        // Without the file there is nothing to put back, and it must not be made anew.
        if (file.isAbsent()) {
            return;
        }
        try {
            putBack();
        } catch (KsmException | UncheckedIOException e) {
            LOGGER.log(
                    Level.WARNING,
                    "settings of ksmd are not put back at the exit of this program; the next one that has ksm4j tries again: "
                            + e.getMessage());
        }
    }

    private void putBack() {
        turn.lock();
        try {
            if (isPutBack) {
                return;
            }
            closed = true;
            file.end(lease);
            file.locked(state -> {
                dropDead(ksmd, file, state);
                Map<KsmSetting, RuntimeException> owed = settle(ksmd, file, state);
                RuntimeException own = takeFailureOf(settings, owed);
                logOwed(owed);
                if (own != null) {
                    throw own;
                }
                return null;
            });
            file.forget(lease);
            isPutBack = true;
        } finally {
            turn.unlock();
        }
    }

    private void removeHook() {
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException exiting) {
            // The hook runs, and finds everything put back.
        }
    }

    /**
     * Gives every setting the value that the last lease wants, or the one it had before anybody did.
     *
     * @return what could not be put back, and why; it stays in the file
     */
    private static Map<KsmSetting, RuntimeException> settle(KsmDaemon ksmd, SessionFile file, State state) {
        KsmSettings wanted = KsmSettings.EMPTY;
        List<KsmSetting> done = new ArrayList<>();
        for (Map.Entry<KsmSetting, Found> entry : state.found().entrySet()) {
            KsmSetting setting = entry.getKey();
            OptionalLong leased = lastLeased(state, setting);
            long now = ksmd.read(setting);
            boolean isBack = leased.isEmpty() && now == entry.getValue().before();
            if (!isBack && !isOurs(state, setting, now)) {
                LOGGER.log(
                        Level.WARNING,
                        "somebody else has set {0} to {1} meanwhile: it stays so",
                        setting.file(),
                        setting.textOf(now));
                state.leases().replaceAll(lease -> lease.of(lease.settings().without(setting)));
                done.add(setting);
                continue;
            }
            wanted = wanted.withUnchecked(setting, leased.orElse(entry.getValue().before()));
            if (leased.isEmpty()) {
                done.add(setting);
            }
        }
        if (isAdvised(ksmd, wanted)) {
            wanted = wanted.without(KsmSetting.PAGES_TO_SCAN);
            if (lastLeased(state, KsmSetting.ADVISOR_MODE).isPresent()) {
                // To be put back when the advisor is.
                done.remove(KsmSetting.PAGES_TO_SCAN);
            }
        }
        Map<KsmSetting, RuntimeException> owed = new EnumMap<>(KsmSetting.class);
        for (Map.Entry<KsmSetting, Long> value : KsmDaemon.inOrder(wanted)) {
            KsmSetting setting = value.getKey();
            try {
                if (ksmd.read(setting) != value.getValue()) {
                    ksmd.write(setting, value.getValue());
                }
                state.found().computeIfPresent(setting, (s, found) -> new Found(found.before(), value.getValue()));
            } catch (KsmException | UncheckedIOException e) {
                done.remove(setting);
                owed.put(setting, e);
            }
        }
        done.forEach(state.found()::remove);
        file.write(state);
        return owed;
    }

    /** The failure of any of these settings, with those of the others; null if there is none. They are taken out. */
    private static @Nullable RuntimeException takeFailureOf(
            KsmSettings settings, Map<KsmSetting, RuntimeException> owed) {
        RuntimeException first = null;
        for (KsmSetting setting : settings.values().keySet()) {
            RuntimeException failure = owed.remove(setting);
            if (first == null) {
                first = failure;
            } else if (failure != null) {
                first.addSuppressed(failure);
            }
        }
        return first;
    }

    /** What others have left must keep nobody from going on. */
    private static void logOwed(Map<KsmSetting, RuntimeException> owed) {
        owed.forEach((setting, failure) -> {
            LOGGER.log(
                    Level.WARNING,
                    setting.file() + " is not put back yet, and the next program that has ksm4j tries again: "
                            + failure.getMessage());
            LOGGER.log(Level.DEBUG, setting.file() + " is not put back", failure);
        });
    }

    /** Whether the kernel chooses {@code pages_to_scan}, once these settings are made. */
    private static boolean isAdvised(KsmDaemon ksmd, KsmSettings wanted) {
        OptionalLong mode = wanted.get(KsmSetting.ADVISOR_MODE);
        if (mode.isPresent()) {
            return mode.getAsLong() == KsmSetting.SCAN_TIME;
        }
        return ksmd.has(KsmSetting.ADVISOR_MODE) && ksmd.read(KsmSetting.ADVISOR_MODE) == KsmSetting.SCAN_TIME;
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

    /** What was borrowed. */
    @Override
    public String toString() {
        return "session of " + settings;
    }
}
