package io.ksm4j;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationHandler;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.WeakHashMap;
import javax.management.AttributeNotFoundException;
import javax.management.InstanceAlreadyExistsException;
import javax.management.JMException;
import javax.management.MBeanServer;
import org.jspecify.annotations.Nullable;

/**
 * Finds the JVM's one {@link RegionTable}, whichever class loader asks.
 *
 * <p>The table is handed from copy to copy of ksm4j through the registry's MBean, the one place in a JVM where objects can be
 * left under a name. Starting the platform's MBean server takes a JVM some hundred milliseconds, more than everything else
 * that ksm4j does at start. So the first copy does not wait for it: it makes a table, says in a system property that it has
 * one, and registers the MBean from a thread of its own. A later copy sees the property and waits for the MBean.
 *
 * <p>The MBean keeps no copy ({@link Beans}). When the last copy is gone there are no regions left to show, and the next copy
 * starts anew.
 *
 * <p>A copy counts alone, and warns, where the MBean is that of a copy with another {@link RegionTable#LAYOUT}, and where
 * somebody has reset the property, as {@code System.setProperties} does: it then takes itself for the first, and finds the MBean
 * there when it has regions already. With {@code -Dio.ksm4j.jmx=false} every copy counts alone.
 */
final class SharedTable {

    /** Which JVM has a table, by its process id: build tools copy system properties to the JVMs they start. */
    private static final String PROPERTY = "io.ksm4j.registry." + RegionTable.LAYOUT;

    private static final String JMX_PROPERTY = "io.ksm4j.jmx";

    /** The one lock that all copies know: a string literal is one object in the whole JVM. */
    private static final Object MONITOR = ("io.ksm4j.MergeRegistry/" + RegionTable.LAYOUT).intern();

    private static final long PATIENCE_NANOS = 30_000_000_000L;

    /** Who answers for the table, if another copy made it; to be joined once {@link #TABLE} is there to answer from. */
    private static @Nullable Map<InvocationHandler, Boolean> copiesToJoin;

    static final RegionTable TABLE = new RegionTable(find());

    static {
        if (copiesToJoin != null) {
            Beans.answerFor(TABLE.shared(), copiesToJoin);
            copiesToJoin = null;
        }
        PeriodicEvents.registerSoon();
    }

    private SharedTable() {}

    private static Object[] find() {
        if ("false".equals(System.getProperty(JMX_PROPERTY))) {
            return RegionTable.newShared();
        }
        synchronized (MONITOR) {
            if (isFirst()) {
                return publishSoon();
            }
        }
        // Only a JVM with a second copy of ksm4j comes here.
        return waitForFirstCopy();
    }

    private static boolean isFirst() {
        return !process().equals(System.getProperty(PROPERTY));
    }

    private static String process() {
        try {
            return Files.readSymbolicLink(Path.of("/proc/self")).toString();
        } catch (IOException | UnsupportedOperationException e) {
            // It loads two dozen classes.
            return Long.toString(ProcessHandle.current().pid());
        }
    }

    private static Object[] publishSoon() {
        System.setProperty(PROPERTY, process());
        Object[] shared = RegionTable.newShared();
        new LaterWork("ksm4j-mbean") {
            @Override
            void pause() {
                pauseUntilAnotherCopyWaits();
            }

            @Override
            void work() {
                publish(shared);
            }
        }.start();
        return shared;
    }

    private static Object[] waitForFirstCopy() {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        boolean interrupted = false;
        try {
            synchronized (MONITOR) {
                // Whoever pauses before it publishes is waited for.
                MONITOR.notifyAll();
                while (!server.isRegistered(Beans.REGISTRY)) {
                    if (isFirst()) {
                        return publishSoon();
                    }
                    long left = deadline - System.nanoTime();
                    if (left <= 0) {
                        return keepOwn("another copy of ksm4j in this JVM did not publish its registry");
                    }
                    try {
                        MONITOR.wait(left / 1_000_000 + 1);
                    } catch (InterruptedException e) {
                        interrupted = true;
                    }
                }
                return join(server);
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static Object[] join(MBeanServer server) {
        try {
            Object[] published = (Object[]) server.getAttribute(Beans.REGISTRY, Beans.SHARED_ATTRIBUTE);
            Object[] table = (Object[]) published[0];
            @SuppressWarnings("unchecked")
            Map<InvocationHandler, Boolean> copies = (Map<InvocationHandler, Boolean>) published[1];
            copiesToJoin = copies;
            return table;
        } catch (AttributeNotFoundException e) {
            return keepOwn("the registry in this JVM is that of another version of ksm4j");
        } catch (JMException | RuntimeException e) {
            Log.debug("the copies of ksm4j that registered the MBean are gone, their regions too", e);
            try {
                server.unregisterMBean(Beans.REGISTRY);
            } catch (JMException alreadyGone) {
                e.addSuppressed(alreadyGone);
            }
            return publishSoon();
        }
    }

    private static Object[] keepOwn(String reason) {
        Log.warning(
                reason + ": this copy keeps its own, and pages that both copies mark are not counted together", null);
        return RegionTable.newShared();
    }

    private static void publish(Object[] table) {
        boolean published = false;
        try {
            // Not with the monitor held: others may be starting the server, and wait for us as they do.
            MBeanServer server = ManagementFactory.getPlatformMBeanServer();
            Map<InvocationHandler, Boolean> copies = Collections.synchronizedMap(new WeakHashMap<>());
            Beans.answerFor(table, copies);
            Beans.register(server, copies);
            published = true;
        } catch (InstanceAlreadyExistsException e) {
            published = true;
            Log.warning(
                    "the registry's MBean is there already: it is that of another version of ksm4j, or somebody has reset "
                            + PROPERTY + ". This copy keeps its own registry",
                    e);
        } catch (JMException | ReflectiveOperationException | LinkageError | RuntimeException e) {
            Log.warning("the MBeans could not be registered", e);
        } finally {
            // Whatever went wrong, as in a class loader that was closed meanwhile, must not keep other copies waiting.
            synchronized (MONITOR) {
                if (!published) {
                    System.clearProperty(PROPERTY);
                }
                MONITOR.notifyAll();
            }
        }
    }

    /** Until another copy waits, or the program is likely to have started. Where it ends early for no reason, nothing is lost. */
    @SuppressWarnings("WaitNotInLoop")
    private static void pauseUntilAnotherCopyWaits() {
        synchronized (MONITOR) {
            try {
                MONITOR.wait(LaterWork.PAUSE_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
