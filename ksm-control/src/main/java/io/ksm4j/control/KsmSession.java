// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
import io.ksm4j.control.SessionFile.Lease;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.util.UUID;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Borrowed settings of {@code ksmd}, which are restored when the session ends.
 *
 * <p>{@link #close()} restores them. If it is not called, or fails, they are restored when the JVM exits. After a kill
 * or a crash, they are restored by the next program on this machine that has this module and permission to change
 * settings, and calls {@link KsmDaemon#system()} or {@link io.ksm4j.Ksm#system()}. Other programs cannot restore them.
 * For this, the file {@code /run/ksm4j/settings} records the original values and who has borrowed what.
 *
 * <p><b>Concurrent sessions</b>, of one program or of several, do not overwrite each other's settings. If two sessions
 * have borrowed the same setting, the later one's value applies. When that session closes, the earlier one's value
 * applies again. The last session to close restores what the first one found. The order in which sessions close does
 * not matter.
 *
 * <p><b>External changes win.</b> If another program writes a borrowed setting, that value stays, and a warning goes to
 * the logger {@code io.ksm4j}.
 *
 * <p><b>Containers.</b> Programs in containers that do not share {@code /run} do not know of each other. Containers
 * that share {@code /run} but not the PID namespace take each other's programs for killed, and restore what those have
 * borrowed: share both or neither.
 *
 * <p>Safe for use by multiple threads.
 *
 * @since 0.1.0
 */
public final class KsmSession implements AutoCloseable {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    /** Not a monitor, since it is held while files are written: a monitor would pin virtual threads. */
    private final ReentrantLock lock = new ReentrantLock();

    private final BorrowedSettings borrowed;
    private final Lease lease;
    private final Thread atExit = new Thread(this::restoreAtExit, "ksm4j-restore-settings");
    private volatile KsmSettings settings = KsmSettings.EMPTY;

    /** Whether {@link #close} was called, so that nothing more is borrowed. */
    private boolean isClosed;

    /** Whether everything has been restored, too. */
    private boolean isRestored;

    private KsmSession(BorrowedSettings borrowed) {
        this.borrowed = borrowed;
        this.lease = borrowed.newLease(UUID.randomUUID().toString());
    }

    static KsmSession open(BorrowedSettings borrowed, KsmSettings wanted) {
        KsmSession session = new KsmSession(borrowed);
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

    /** Holds the lock, so that the exit of the JVM waits for it, or closes the session before. */
    private void borrow(KsmSettings wanted) {
        lock.lock();
        try {
            requireOpen();
            borrowed.borrow(lease, wanted);
            settings = wanted;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Returns the borrowed settings.
     *
     * @return the settings that were requested, by the last successful {@link #change} if there was one
     */
    public KsmSettings settings() {
        return settings;
    }

    /**
     * Borrows other settings instead, all or none. A setting that has a value in both keeps its value until it gets the
     * new one. The place of this session in the order of sessions stays: the values of later sessions still apply.
     *
     * @param wanted the new settings; those borrowed so far and not among them are restored
     * @throws IllegalStateException if this session is closed
     * @throws NoSuchSettingException as {@link KsmDaemon#change}
     * @throws KsmPermissionException as {@link KsmDaemon#change}
     * @throws SettingBusyException as {@link KsmDaemon#change}
     * @throws SettingRefusedException as {@link KsmDaemon#change}, and if another program has changed a setting that
     *     this session has borrowed: that value stays
     * @throws UncheckedIOException if a setting or the file of sessions cannot be read or written
     */
    public void change(KsmSettings wanted) {
        lock.lock();
        try {
            requireOpen();
            borrowed.change(lease, settings, wanted);
            settings = wanted;
        } finally {
            lock.unlock();
        }
    }

    private void requireOpen() {
        if (isClosed) {
            throw new IllegalStateException("the session is closed, and its settings are restored");
        }
    }

    boolean isClosed() {
        lock.lock();
        try {
            return isClosed;
        } finally {
            lock.unlock();
        }
    }

    /**
     * Restores the settings, as described for this class. Once everything is restored, further calls do nothing. Until
     * then, every further call tries again, and so do the exit of the JVM and the next session that this program opens,
     * changes or closes.
     *
     * @throws SettingBusyException if a setting can only change while no page is merged, and some are; it stays
     *     recorded for the next program
     * @throws KsmException if a setting cannot be restored for another reason; the others are restored
     * @throws UncheckedIOException if the file of sessions cannot be read or written
     */
    @Override
    public void close() {
        restore();
        removeHook();
    }

    private void restoreAtExit() {
        // Without the file there is nothing to restore, and it must not be created.
        if (borrowed.isEmpty()) {
            return;
        }
        try {
            restore();
        } catch (KsmException | UncheckedIOException e) {
            LOGGER.log(
                    Level.WARNING,
                    "could not restore settings of ksmd at exit; the next program that uses ksm4j tries again: "
                            + e.getMessage());
        }
    }

    private void restore() {
        lock.lock();
        try {
            if (isRestored) {
                return;
            }
            isClosed = true;
            borrowed.end(lease, settings);
            isRestored = true;
        } finally {
            lock.unlock();
        }
    }

    private void removeHook() {
        try {
            Runtime.getRuntime().removeShutdownHook(atExit);
        } catch (IllegalStateException exiting) {
            // The hook runs, and finds everything restored.
        }
    }

    /** {@return the borrowed settings as text} */
    @Override
    public String toString() {
        return "session of " + settings;
    }
}
