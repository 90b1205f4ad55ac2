package io.ksm4j.internal.management;

import java.io.FileInputStream;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * Does what can wait until a program is likely to have started, and what ksm4j can do without. If it fails, it is tried again a few times; if that is no use, or no
 * thread can be started, once more when a region is opened later. Keeps neither the JVM nor, once it has ended, a class loader. A class with subclasses, as each
 * lambda would take longer to make.
 */
public abstract class BackgroundTask implements Runnable {

    /** What JMX and JFR do for us takes more than one core while a program starts. */
    public static final long PAUSE_MILLIS = 500;

    private static final int ATTEMPTS = 5;
    private static final long PATIENCE_MILLIS = TimeUnit.SECONDS.toMillis(5);
    private static final long LEAST_NANOS_BETWEEN_STARTS = TimeUnit.SECONDS.toNanos(1);

    /** As many descriptors as starting the MBean server may need, with some to spare. */
    private static final int DESCRIPTORS = 8;

    /** A list, by {@link #nextWaiting}, of what waits for a region to be opened. */
    private static final AtomicReference<@Nullable BackgroundTask> WAITING = new AtomicReference<>();

    private final String name;
    private boolean hasPaused;
    private long triedNanos;
    private @Nullable BackgroundTask nextWaiting;

    public BackgroundTask(String name) {
        this.name = name;
    }

    /** Waits for a good time to begin. */
    protected abstract void pause() throws InterruptedException;

    /** Throws whatever keeps it from being done. */
    protected abstract void work() throws Exception;

    /** Whether another thread waits for it, so that it must be done even as the JVM exits. */
    protected boolean isAwaited() {
        return false;
    }

    /** What is to be done if it failed for good, or until a region is opened. */
    protected abstract void failed(Throwable failure);

    /** Starts a thread that does it. */
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
        // MethodHandleProxies defines a class in the context class loader, which must not be one that may have to go.
        thread.setContextClassLoader(ClassLoader.getSystemClassLoader());
        return thread;
    }

    private void waitForRegion() {
        do {
            nextWaiting = WAITING.get();
        } while (!WAITING.compareAndSet(nextWaiting, this));
    }

    /** Called when a region is opened. */
    public static void startWaiting() {
        if (WAITING.get() == null) {
            return;
        }
        BackgroundTask work = WAITING.getAndSet(null);
        while (work != null) {
            BackgroundTask next = work.nextWaiting;
            if (System.nanoTime() - work.triedNanos < LEAST_NANOS_BETWEEN_STARTS) {
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
            // Where the class loader was closed, no class of ours can be loaded any more, and there is nothing left to
            // do.
        }
    }

    /** Whether a class could not be loaded. To try that again is no use: the class loader was closed, or it refuses every class, as Tomcat's does. */
    private static boolean isOfClassLoader(Throwable failure) {
        return failure instanceof LinkageError || failure instanceof IllegalStateException;
    }

    /**
     * While a thread loads classes, a JVM that writes an archive of its classes as it exits ({@code -XX:ArchiveClassesAtExit},
     * {@code -XX:AOTCacheOutput}) may crash, or write one that has the next JVM crash: so seen with Java 25.0.3. So the exit waits for it.
     */
    private @Nullable Throwable attempt() {
        Thread worker = Thread.currentThread();
        Thread exit = null;
        try {
            exit = newThread(() -> await(worker), name + "-exit");
            Runtime.getRuntime().addShutdownHook(exit);
        } catch (IllegalStateException exiting) {
            // Too late to be waited for.
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
                // It need not be removed any more.
            }
        }
    }

    /** Libraries of the JDK are loaded by static initializers. One that fails for want of a descriptor has failed for good. */
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
            worker.join(PATIENCE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
