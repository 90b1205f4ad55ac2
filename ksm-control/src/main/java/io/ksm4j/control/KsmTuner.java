// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Tunes {@code ksmd} by a policy. In a daemon thread, the tuner repeatedly observes what merging does, lets the policy
 * decide, and changes the settings.
 *
 * <pre>{@code
 * try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(0.5))) {
 *     runTheApplication();
 * }
 * }</pre>
 *
 * <p>The settings are borrowed, as described for {@link KsmSession}: {@link #close()}, the exit of the JVM, or the next
 * ksm4j program after a kill restores them. A tuner respects other sessions: while a later session has a setting, the
 * tuner's value for it does not apply.
 *
 * <p>If a file cannot be read, the tuner calls {@link Listener#failed} and tries again after a second. The tuner ends
 * if it can no longer change the settings, if another program has changed a setting that it has borrowed, and if the
 * policy throws. It then restores what it can, logs the cause with the logger {@code io.ksm4j}, and calls {@link
 * Listener#stopped}.
 *
 * <p>Each decision is recorded as an event {@code io.ksm4j.TunerDecision} by Java Flight Recorder. Safe for use by
 * multiple threads.
 *
 * @since 0.1.0
 */
public final class KsmTuner implements AutoCloseable {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    private static final Duration AFTER_FAILURE = Duration.ofSeconds(1);

    private static final long NEVER = Long.MAX_VALUE;

    /** How often to check, in nanoseconds, whether this JVM has marked more memory. */
    private static final long MARK_POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

    /**
     * Receives what a tuner does. It is called in the tuner's thread, and for the first decision in the thread that
     * calls {@link KsmTuner#start}. Whatever it throws is logged with the logger {@code io.ksm4j}, and otherwise
     * ignored.
     *
     * @since 0.1.0
     */
    @FunctionalInterface
    public interface Listener {

        /**
         * Called after each decision, when the settings have been changed.
         *
         * @param observation what the decision was based on
         * @param decision the decision, with its reason
         */
        void decided(Observation observation, Decision decision);

        /**
         * Called when a file could not be read or written. The tuner continues.
         *
         * @param failure the failure
         */
        default void failed(RuntimeException failure) {}

        /**
         * Called when the tuner has ended by itself and restored what it could. Not called after {@link
         * KsmTuner#close()}.
         *
         * @param cause the cause; an {@link Error} if the policy threw one
         */
        default void stopped(Throwable cause) {}
    }

    private final TuningPolicy policy;
    private final Listener listener;
    private final ObservationReader reader;
    private final KsmSession session;
    private final CountDownLatch closing = new CountDownLatch(1);
    private final Thread thread = new Thread(this::run, "ksm4j-tuner");
    private Duration pause = Duration.ZERO;

    /** The pause ends early when this JVM has marked more bytes than this. */
    private long endAboveMarked = NEVER;

    private KsmTuner(KsmDaemon ksmd, TuningPolicy policy, Listener listener, ObservationReader reader) {
        this.policy = policy;
        this.listener = listener;
        this.reader = reader;
        Observation first = reader.read();
        Decision decision = policy.decide(first);
        session = ksmd.borrow(decision.settings());
        scheduleNext(first, decision);
        thread.setDaemon(true);
        report(first, decision);
    }

    /**
     * Starts a tuner without a listener. The first decision is applied before this method returns.
     *
     * @param ksmd whose settings to change
     * @param policy the policy; not used by another tuner
     * @return a running tuner
     * @throws IllegalStateException as {@link KsmDaemon#borrow}
     * @throws KsmPermissionException as {@link KsmDaemon#borrow}
     * @throws NoSuchSettingException as {@link KsmDaemon#borrow}, and if the policy throws it
     * @throws RuntimeException if the policy throws it for its first decision
     * @throws SettingBusyException as {@link KsmDaemon#borrow}
     * @throws SettingRefusedException as {@link KsmDaemon#borrow}
     * @throws UncheckedIOException as {@link KsmDaemon#borrow}, and if a file cannot be read for the first observation
     */
    public static KsmTuner start(KsmDaemon ksmd, TuningPolicy policy) {
        return start(ksmd, policy, (observation, decision) -> {});
    }

    /**
     * Starts a tuner. The first decision is applied before this method returns.
     *
     * @param ksmd whose settings to change
     * @param policy the policy; not used by another tuner
     * @param listener receives the decisions
     * @return a running tuner
     * @throws IllegalStateException as {@link KsmDaemon#borrow}
     * @throws KsmPermissionException as {@link KsmDaemon#borrow}
     * @throws NoSuchSettingException as {@link KsmDaemon#borrow}, and if the policy throws it
     * @throws RuntimeException if the policy throws it for its first decision
     * @throws SettingBusyException as {@link KsmDaemon#borrow}
     * @throws SettingRefusedException as {@link KsmDaemon#borrow}
     * @throws UncheckedIOException as {@link KsmDaemon#borrow}, and if a file cannot be read for the first observation
     */
    public static KsmTuner start(KsmDaemon ksmd, TuningPolicy policy, Listener listener) {
        return start(ksmd, policy, listener, new ObservationReader());
    }

    static KsmTuner start(KsmDaemon ksmd, TuningPolicy policy, Listener listener, ObservationReader reader) {
        KsmTuner tuner = new KsmTuner(ksmd, policy, listener, reader);
        try {
            tuner.thread.start();
        } catch (OutOfMemoryError noThread) {
            try {
                tuner.session.close();
            } catch (KsmException | UncheckedIOException e) {
                noThread.addSuppressed(e);
            }
            throw noThread;
        }
        return tuner;
    }

    /**
     * Returns whether the tuner is running.
     *
     * @return false once it is closed or has ended by itself
     */
    public boolean isRunning() {
        return thread.isAlive();
    }

    private void run() {
        Throwable cause = null;
        try {
            while (!awaitNextDecision()) {
                step();
            }
        } catch (InterruptedException e) {
            cause = new IllegalStateException("the tuner's thread was interrupted", e);
        } catch (RuntimeException | Error e) {
            cause = e;
        }
        // When the JVM exits, the session closes itself in its shutdown hook.
        if (closing.getCount() > 0 && !session.isClosed()) {
            stop(cause == null ? new IllegalStateException("the tuner has ended") : cause);
        }
    }

    /**
     * Waits until the next decision is due.
     *
     * @return whether the tuner was closed
     */
    private boolean awaitNextDecision() throws InterruptedException {
        long end = System.nanoTime() + Math.max(0, TimeUnit.NANOSECONDS.convert(pause));
        long poll = endAboveMarked == NEVER ? Long.MAX_VALUE : MARK_POLL_NANOS;
        long left = end - System.nanoTime();
        while (left > 0 && reader.markedBytes() <= endAboveMarked) {
            if (closing.await(Math.min(left, poll), TimeUnit.NANOSECONDS)) {
                return true;
            }
            left = end - System.nanoTime();
        }
        return closing.getCount() == 0;
    }

    private void scheduleNext(Observation now, Decision decision) {
        pause = decision.pause();
        endAboveMarked = decision.endsAtMark() ? now.markedBytes() : NEVER;
    }

    private void step() {
        Observation now = null;
        try {
            now = reader.read();
        } catch (UncheckedIOException e) {
            fail(e);
            return;
        }
        Decision decision = policy.decide(now);
        // The session detects external changes when it changes settings, so if a setting differs, it is asked to.
        boolean isAsBorrowed = now.settings().with(session.settings()).equals(now.settings());
        if (!isAsBorrowed || !decision.settings().equals(session.settings())) {
            try {
                session.change(decision.settings());
            } catch (UncheckedIOException e) {
                fail(e);
                return;
            }
        }
        scheduleNext(now, decision);
        report(now, decision);
    }

    private void fail(UncheckedIOException e) {
        pause = AFTER_FAILURE;
        endAboveMarked = NEVER;
        LOGGER.log(Level.WARNING, "the tuner of ksmd could not read or write a file, and continues", e);
        report(() -> listener.failed(e));
    }

    private void stop(Throwable cause) {
        LOGGER.log(Level.WARNING, "the tuner of ksmd has ended", cause);
        try {
            session.close();
        } catch (KsmException | UncheckedIOException e) {
            cause.addSuppressed(e);
        }
        report(() -> listener.stopped(cause));
    }

    private void report(Observation observation, Decision decision) {
        TunerDecisionEvent.record(observation, decision);
        report(() -> listener.decided(observation, decision));
    }

    private static void report(Runnable listener) {
        try {
            listener.run();
        } catch (RuntimeException | Error e) {
            LOGGER.log(Level.WARNING, "the listener of the tuner of ksmd has thrown", e);
        }
    }

    /**
     * Ends the tuner and restores the settings, as {@link KsmSession#close} does. Waits for a decision in progress,
     * unless the listener calls this method. As for {@link KsmSession#close}, further calls retry what has failed, and
     * otherwise do nothing.
     *
     * @throws SettingBusyException as {@link KsmSession#close}
     * @throws KsmException as {@link KsmSession#close}
     * @throws UncheckedIOException as {@link KsmSession#close}
     */
    @Override
    public void close() {
        closing.countDown();
        boolean interrupted = false;
        while (thread.isAlive() && !Thread.currentThread().equals(thread)) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        session.close();
    }
}
