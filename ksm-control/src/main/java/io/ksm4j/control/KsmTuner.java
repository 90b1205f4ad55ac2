package io.ksm4j.control;

import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Drives {@code ksmd} by a policy: looks at what merging does, lets the policy decide, and changes the settings, over and over, in one
 * daemon thread.
 *
 * <pre>{@code
 * try (KsmTuner tuner = KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(0.5))) {
 *     runTheApplication();
 * }
 * }</pre>
 *
 * <p>The settings are borrowed, see {@link KsmSession}: {@link #close()}, the exit of the JVM, and the next ksm4j program after a kill
 * put them back. A tuner respects other sessions: while a later one has a setting, the tuner's choice for it waits.
 *
 * <p>When files cannot be read, it tells the listener and tries again after a second. It ends when it may not change the settings any
 * more, when somebody else has changed one that it has borrowed, and when the policy throws: then it puts back what it can, and tells
 * the listener and the logger {@code io.ksm4j} why.
 *
 * <p>Each decision is an event {@code io.ksm4j.TunerDecision} of Java Flight Recorder. Safe for use by many threads.
 */
public final class KsmTuner implements AutoCloseable {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j");

    private static final Duration AFTER_FAILURE = Duration.ofSeconds(1);

    private static final long NEVER = Long.MAX_VALUE;

    /** Nanoseconds between looks at what this JVM has marked. */
    private static final long GLANCE = TimeUnit.MILLISECONDS.toNanos(20);

    /**
     * Hears what a tuner does, in the tuner's thread, and the first decision in that of {@link KsmTuner#start}. What it throws goes to
     * the logger {@code io.ksm4j}.
     */
    @FunctionalInterface
    public interface Listener {

        /**
         * A decision was made, and the settings are so now.
         *
         * @param observation what it was made by
         * @param decision what was decided, with the reason
         */
        void decided(Observation observation, Decision decision);

        /**
         * Something could not be read. The tuner goes on.
         *
         * @param failure what failed
         */
        default void failed(RuntimeException failure) {}

        /**
         * The tuner has ended by itself, and put back what it could. Not called after {@link KsmTuner#close()}.
         *
         * @param cause why; an {@link Error} if the policy threw one
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
    /** The pause ends when this JVM has more bytes marked than this. */
    private long endAboveMarked = NEVER;

    private KsmTuner(KsmDaemon ksmd, TuningPolicy policy, Listener listener, ObservationReader reader) {
        this.policy = policy;
        this.listener = listener;
        this.reader = reader;
        Observation first = reader.read();
        Decision decision = policy.decide(first);
        session = ksmd.borrow(decision.settings());
        waitAsDecided(first, decision);
        thread.setDaemon(true);
        tell(first, decision);
    }

    /**
     * Starts to drive {@code ksmd}; decisions are seen by Java Flight Recorder alone.
     *
     * @param ksmd whose settings to change
     * @param policy what decides; one that no other tuner has
     * @return a running tuner
     * @throws IllegalStateException as {@link KsmDaemon#borrow}
     * @throws KsmPermissionException as {@link KsmDaemon#borrow}
     * @throws NoSuchSettingException as {@link KsmDaemon#borrow}, and what else the policy throws at its first decision
     * @throws SettingBusyException as {@link KsmDaemon#borrow}
     * @throws SettingRefusedException as {@link KsmDaemon#borrow}
     * @throws UncheckedIOException if something cannot be read, and as {@link KsmDaemon#borrow}
     */
    public static KsmTuner start(KsmDaemon ksmd, TuningPolicy policy) {
        return start(ksmd, policy, (observation, decision) -> {});
    }

    /**
     * Starts to drive {@code ksmd}. The first decision is made before this returns.
     *
     * @param ksmd whose settings to change
     * @param policy what decides; one that no other tuner has
     * @param listener what hears of decisions
     * @return a running tuner
     * @throws IllegalStateException as {@link KsmDaemon#borrow}
     * @throws KsmPermissionException as {@link KsmDaemon#borrow}
     * @throws NoSuchSettingException as {@link KsmDaemon#borrow}, and what else the policy throws at its first decision
     * @throws SettingBusyException as {@link KsmDaemon#borrow}
     * @throws SettingRefusedException as {@link KsmDaemon#borrow}
     * @throws UncheckedIOException if something cannot be read, and as {@link KsmDaemon#borrow}
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
     * Whether it still drives {@code ksmd}.
     *
     * @return false once it is closed or has ended by itself
     */
    public boolean isRunning() {
        return thread.isAlive();
    }

    private void run() {
        Throwable cause = null;
        try {
            while (!isClosedMeanwhile()) {
                step();
            }
        } catch (InterruptedException e) {
            cause = new IllegalStateException("the tuner's thread was interrupted", e);
        } catch (RuntimeException | Error e) {
            cause = e;
        }
        // While the JVM exits, the session has been closed by its own hook.
        if (closing.getCount() > 0 && !session.isClosed()) {
            stop(cause == null ? new IllegalStateException("the tuner has ended") : cause);
        }
    }

    /** Waits until the next decision is due. */
    private boolean isClosedMeanwhile() throws InterruptedException {
        long end = System.nanoTime() + Math.max(0, TimeUnit.NANOSECONDS.convert(pause));
        long glance = endAboveMarked == NEVER ? Long.MAX_VALUE : GLANCE;
        long left = end - System.nanoTime();
        while (left > 0 && reader.markedBytes() <= endAboveMarked) {
            if (closing.await(Math.min(left, glance), TimeUnit.NANOSECONDS)) {
                return true;
            }
            left = end - System.nanoTime();
        }
        return closing.getCount() == 0;
    }

    private void waitAsDecided(Observation now, Decision decision) {
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
        // What others have changed is seen when it is to be changed, so that is tried.
        boolean isAsBorrowed = now.settings().with(session.settings()).equals(now.settings());
        if (!isAsBorrowed || !decision.settings().equals(session.settings())) {
            try {
                session.change(decision.settings());
            } catch (UncheckedIOException e) {
                fail(e);
                return;
            }
        }
        waitAsDecided(now, decision);
        tell(now, decision);
    }

    private void fail(UncheckedIOException e) {
        pause = AFTER_FAILURE;
        endAboveMarked = NEVER;
        LOGGER.log(Level.WARNING, "the tuner of ksmd goes on, but could not read", e);
        tell(() -> listener.failed(e));
    }

    private void stop(Throwable cause) {
        LOGGER.log(Level.WARNING, "the tuner of ksmd has ended", cause);
        try {
            session.close();
        } catch (KsmException | UncheckedIOException e) {
            cause.addSuppressed(e);
        }
        tell(() -> listener.stopped(cause));
    }

    private void tell(Observation observation, Decision decision) {
        TunerDecisionEvent.record(observation, decision);
        tell(() -> listener.decided(observation, decision));
    }

    private static void tell(Runnable listener) {
        try {
            listener.run();
        } catch (RuntimeException | Error e) {
            LOGGER.log(Level.WARNING, "a listener of the tuner of ksmd has failed", e);
        }
    }

    /**
     * Ends the tuner and puts the settings back, as {@link KsmSession#close} does. Waits for a decision under way, except when the
     * listener calls it. As there, another call tries again what has failed, and otherwise does nothing.
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
