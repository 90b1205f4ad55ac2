package io.ksm4j;

import java.util.concurrent.TimeUnit;

/**
 * Does what can wait until a program is likely to have started, and keeps neither the JVM nor a class loader. A class with subclasses,
 * as each lambda would take longer to make.
 */
abstract class LaterWork extends Thread {

    /** What JMX and JFR do for us takes more than one core while a program starts. */
    static final long PAUSE_MILLIS = 500;

    private static final long PATIENCE_MILLIS = TimeUnit.SECONDS.toMillis(5);

    LaterWork(String name) {
        super(name);
        setDaemon(true);
        // MethodHandleProxies defines a class in the context class loader, which must not be one that may have to go.
        setContextClassLoader(ClassLoader.getSystemClassLoader());
    }

    abstract void pause();

    abstract void work();

    /**
     * While a thread loads classes, a JVM that writes an archive of its classes as it exits ({@code -XX:ArchiveClassesAtExit},
     * {@code -XX:AOTCacheOutput}) may crash, or write one that has the next JVM crash: so seen with Java 25.0.3.
     */
    @Override
    public final void run() {
        pause();
        Thread exit = new Thread(this::await, getName() + "-exit");
        exit.setContextClassLoader(getContextClassLoader());
        try {
            Runtime.getRuntime().addShutdownHook(exit);
        } catch (IllegalStateException exiting) {
            // Too late to be waited for; others may wait for the work all the same.
        }
        try {
            work();
        } finally {
            try {
                Runtime.getRuntime().removeShutdownHook(exit);
            } catch (IllegalStateException exiting) {
                // It need not be removed any more.
            }
        }
    }

    private void await() {
        try {
            join(PATIENCE_MILLIS);
        } catch (InterruptedException e) {
            currentThread().interrupt();
        }
    }
}
