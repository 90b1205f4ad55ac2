// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import java.io.FileInputStream;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Optional work that is done by a thread of its own once the program has probably started. If it fails, it is tried
 * again a few times; if it still fails, or no thread can be started, it is tried once more when a region is opened. The
 * thread does not keep the JVM from exiting and, once it has ended, keeps no class loader reachable.
 *
 * <p>An abstract class, because creating lambdas would take longer.
 */
public abstract class BackgroundTask implements Runnable {

    /** The delay for the program to start: initializing JMX and JFR takes more than one core. */
    public static final long PAUSE_MILLIS = 500;

    private static final int ATTEMPTS = 5;
    private static final long MAX_EXIT_DELAY_MILLIS = TimeUnit.SECONDS.toMillis(5);
    private static final long MIN_NANOS_BETWEEN_STARTS = TimeUnit.SECONDS.toNanos(1);

    /**
     * The number of descriptors that must be free: those that starting the MBean server may need, and some in reserve.
     */
    private static final int DESCRIPTORS = 8;

    /** The tasks that wait for a region to be opened, as a list linked by {@link #nextWaiting}. */
    private static final AtomicReference<@Nullable BackgroundTask> WAITING = new AtomicReference<>();

    private final String name;
    private boolean hasPaused;
    private long triedNanos;
    private @Nullable BackgroundTask nextWaiting;

    public BackgroundTask(String name) {
        this.name = name;
    }

    /** Waits until the work should begin. */
    protected abstract void pause() throws InterruptedException;

    /** Does the work; throws whatever prevents it. */
    protected abstract void work() throws Exception;

    /** {@return whether another thread waits for the result, so that the work must be done even while the JVM exits} */
    protected boolean isAwaited() {
        return false;
    }

    /** Called when the last attempt has failed, for good or until a region is opened. */
    protected abstract void failed(Throwable failure);

    /** Starts the thread. */
    public final void start() {
        try {
            triedNanos = System.nanoTime();
            Thread thread = newThread(this, name);
            thread.setDaemon(true);
            thread.start();
        } catch (Throwable noThread) {
            waitForRegion();
        }
    }

    private static Thread newThread(Runnable run, String name) {
        Thread thread = new Thread(run, name);
        // MethodHandleProxies defines a class in the context class loader, which must not be one that may be discarded.
        thread.setContextClassLoader(ClassLoader.getSystemClassLoader());
        return thread;
    }

    private void waitForRegion() {
        do {
            nextWaiting = WAITING.get();
        } while (!WAITING.compareAndSet(nextWaiting, this));
    }

    /** Starts the waiting tasks; called when a region is opened. */
    public static void startWaiting() {
        if (WAITING.get() == null) {
            return;
        }
        BackgroundTask work = WAITING.getAndSet(null);
        while (work != null) {
            BackgroundTask next = work.nextWaiting;
            if (System.nanoTime() - work.triedNanos < MIN_NANOS_BETWEEN_STARTS) {
                work.waitForRegion();
            } else {
                work.start();
            }
            work = next;
        }
    }

    @Override
    public final void run() {
        try {
            if (!hasPaused) {
                pause();
                hasPaused = true;
            }
            for (int attempt = 1; ; attempt++) {
                Throwable failure = attempt();
                if (failure == null) {
                    return;
                }
                if (attempt == ATTEMPTS || isOfClassLoader(failure)) {
                    failed(failure);
                    waitForRegion();
                    return;
                }
                TimeUnit.SECONDS.sleep(1L << (attempt - 1));
            }
        } catch (Throwable interruptedOrWithoutClasses) {
            // If the class loader was closed, none of our classes can be loaded any more, so nothing is left to do.
        }
    }

    /**
     * Returns whether a class could not be loaded. Trying again would not help: the class loader was closed, or it
     * refuses every class, as Tomcat's does.
     */
    private static boolean isOfClassLoader(Throwable failure) {
        return failure instanceof LinkageError || failure instanceof IllegalStateException;
    }

    /**
     * Does the work once; a JVM that exits waits for it. If a thread loads classes while a JVM writes an archive of its
     * classes at exit ({@code -XX:ArchiveClassesAtExit}, {@code -XX:AOTCacheOutput}), that JVM may crash, or write an
     * archive with which the next JVM crashes (seen with Java 25.0.3).
     *
     * @return null, or what the work failed with
     */
    private @Nullable Throwable attempt() {
        Thread worker = Thread.currentThread();
        Thread exit = null;
        try {
            exit = newThread(() -> await(worker), name + "-exit");
            Runtime.getRuntime().addShutdownHook(exit);
        } catch (IllegalStateException exiting) {
            // Too late: the exit can no longer wait for this thread.
            if (!isAwaited()) {
                return null;
            }
        } catch (Throwable t) {
            return t;
        }
        try {
            requireDescriptors();
            work();
            return null;
        } catch (Throwable t) {
            return t;
        } finally {
            try {
                Runtime.getRuntime().removeShutdownHook(exit);
            } catch (IllegalStateException exiting) {
                // The hook is running already and cannot be removed.
            }
        }
    }

    /**
     * Throws an exception unless some descriptors are free. The JDK loads its native libraries in static initializers,
     * and one that fails because it gets no descriptor never succeeds later.
     */
    private static void requireDescriptors() throws IOException {
        FileInputStream[] files = new FileInputStream[DESCRIPTORS];
        try {
            for (int i = 0; i < files.length; i++) {
                files[i] = new FileInputStream("/dev/null");
            }
        } finally {
            for (FileInputStream file : files) {
                if (file != null) {
                    file.close();
                }
            }
        }
    }

    private static void await(Thread worker) {
        try {
            worker.join(MAX_EXIT_DELAY_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
