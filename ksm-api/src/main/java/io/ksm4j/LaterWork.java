package io.ksm4j;

import java.util.concurrent.TimeUnit;

/** What can wait until a program is likely to have started: in a thread of its own, which keeps neither the JVM nor a class loader. */
final class LaterWork {

    /** What JMX and JFR do for us takes more than one core while a program starts. */
    static final long PAUSE_MILLIS = 500;

    private static final long PATIENCE_MILLIS = TimeUnit.SECONDS.toMillis(5);

    private LaterWork() {}

    /** Starts the thread, which pauses and then works. */
    static void start(String name, Runnable pause, Runnable work) {
        Thread thread = new Thread(
                () -> {
                    pause.run();
                    finishBeforeExit(work);
                },
                name);
        thread.setDaemon(true);
        // MethodHandleProxies defines a class in the context class loader, which must not be one that may have to go.
        thread.setContextClassLoader(ClassLoader.getSystemClassLoader());
        thread.start();
    }

    /**
     * While a thread loads classes, a JVM that writes an archive of its classes as it exits ({@code -XX:ArchiveClassesAtExit},
     * {@code -XX:AOTCacheOutput}) may crash, or write one that has the next JVM crash: so seen with Java 25.0.3.
     */
    private static void finishBeforeExit(Runnable work) {
        Thread worker = Thread.currentThread();
        Thread exit = new Thread(() -> await(worker), worker.getName() + "-exit");
        exit.setContextClassLoader(worker.getContextClassLoader());
        try {
            Runtime.getRuntime().addShutdownHook(exit);
        } catch (IllegalStateException exiting) {
            // Too late to be waited for; others may wait for the work all the same.
        }
        try {
            work.run();
        } finally {
            try {
                Runtime.getRuntime().removeShutdownHook(exit);
            } catch (IllegalStateException exiting) {
                // It need not be removed any more.
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
