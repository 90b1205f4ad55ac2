// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.StackRoom;
import io.ksm4j.internal.SystemProperties;
import io.ksm4j.internal.registry.RegionTable;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationHandler;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Map;
import java.util.Properties;
import java.util.WeakHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import javax.management.AttributeNotFoundException;
import javax.management.InstanceAlreadyExistsException;
import javax.management.JMException;
import javax.management.MBeanServer;
import org.jspecify.annotations.Nullable;

/**
 * Finds the only {@link RegionTable} of the JVM, regardless of the class loader.
 *
 * <p>The copies of ksm4j pass the table on through the MBean of the registry, because the MBean server is the only
 * place in a JVM where objects can be stored under a name. Starting the platform MBean server takes some hundred
 * milliseconds, longer than everything else that ksm4j does at startup. Therefore the first copy does not wait for it:
 * it creates a table, claims it in a system property, and registers the MBean from a thread of its own. A later copy
 * sees the property and waits for the MBean.
 *
 * <p>The MBean keeps no copy reachable ({@link MBeans}). When the last copy is gone, there are no regions left to show,
 * and the next copy creates a new table.
 *
 * <p>A copy uses its own table, and logs a warning, in these cases: the MBean belongs to a copy with another
 * {@link RegionTable#LAYOUT}; the first copy cannot publish its table within {@value #PATIENCE_SECONDS} seconds; or the
 * property was reset, as by {@code System.setProperties}, so that a later copy takes itself for the first one and finds
 * the MBean only when it already has regions. With {@code -Dio.ksm4j.jmx=false}, and in a runtime without the module
 * {@code java.management}, every copy uses its own table.
 *
 * <p>Finding the table may fail for lack of memory or because no thread can be started. It is tried again when the
 * table is needed next.
 */
public final class SharedTable {

    /**
     * The property that contains the claim of the copy that has the table. The claim begins with the PID, because build
     * tools copy system properties to the JVMs that they start.
     */
    private static final String PROPERTY = "io.ksm4j.registry." + RegionTable.LAYOUT;

    /** The suffix of a claim while another copy waits for the MBean. */
    private static final String AWAITED = " awaited";

    /** The suffix of a claim while the MBean of copies that are gone is about to be removed. */
    private static final String CLAIMING = " claiming";

    private static final long PATIENCE_SECONDS = 30;
    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(5);

    private static final ReentrantLock FINDING = new ReentrantLock();
    private static volatile @Nullable RegionTable table;

    private SharedTable() {}

    public static RegionTable table() {
        RegionTable found = table;
        return found != null ? found : find();
    }

    private static RegionTable find() {
        StackRoom.requireForOpening();
        Backoff.lock(FINDING);
        try {
            RegionTable found = table;
            if (found == null) {
                found = JdkModules.MANAGEMENT && !"false".equals(System.getProperty(SystemProperties.JMX))
                        ? Publication.find()
                        : new RegionTable(RegionTable.newShared());
                table = found;
                if (JdkModules.FLIGHT_RECORDER) {
                    PeriodicEvents.registerSoon(found);
                }
            }
            return found;
        } finally {
            FINDING.unlock();
        }
    }

    /** The part that needs JMX. It is loaded only where JMX is available. */
    private static final class Publication extends BackgroundTask {

        private final Object[] shared;

        /** The claim of this copy in the property. */
        private final String claim;

        private Publication(Object[] shared, String claim) {
            super("ksm4j-mbean");
            this.shared = shared;
            this.claim = claim;
        }

        static RegionTable find() {
            String process = process();
            Properties properties = System.getProperties();
            while (true) {
                String claim = newClaim(process);
                Object known = properties.putIfAbsent(PROPERTY, claim);
                if (known == null || (!isOf(process, known) && properties.replace(PROPERTY, known, claim))) {
                    return publishSoon(claim);
                }
                RegionTable found = waitForFirstCopy(process);
                if (found != null) {
                    return found;
                }
            }
        }

        private static String process() {
            try {
                return Files.readSymbolicLink(Path.of("/proc/self")).toString();
            } catch (IOException | UnsupportedOperationException e) {
                // The fallback, because it loads two dozen classes.
                return Long.toString(ProcessHandle.current().pid());
            }
        }

        /** Returns a claim that differs from all before it, so that a copy replaces only the claim that it has seen. */
        private static String newClaim(String process) {
            return process + "/" + Long.toHexString(System.nanoTime());
        }

        private static boolean isOf(String process, @Nullable Object claim) {
            return claim instanceof String text && text.startsWith(process + "/");
        }

        private static RegionTable publishSoon(String claim) {
            try {
                Object[] shared = RegionTable.newShared();
                RegionTable made = new RegionTable(shared);
                new Publication(shared, claim).start();
                return made;
            } catch (Throwable t) {
                withdraw(claim);
                throw t;
            }
        }

        private static void withdraw(String claim) {
            Properties properties = System.getProperties();
            if (!properties.remove(PROPERTY, claim)) {
                properties.remove(PROPERTY, claim + AWAITED);
            }
        }

        /** Returns null if the first copy is gone. */
        private static @Nullable RegionTable waitForFirstCopy(String process) {
            MBeanServer server = ManagementFactory.getPlatformMBeanServer();
            Properties properties = System.getProperties();
            long began = System.nanoTime();
            while (true) {
                String claim = String.valueOf(properties.get(PROPERTY));
                if (!isOf(process, claim)) {
                    return null;
                }
                if (!claim.endsWith(CLAIMING)) {
                    if (server.isRegistered(MBeans.REGISTRY)) {
                        return join(server, process, claim);
                    }
                    if (!claim.endsWith(AWAITED)) {
                        properties.replace(PROPERTY, claim, claim + AWAITED);
                    }
                }
                if (System.nanoTime() - began > TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS)) {
                    return keepOwn("another copy of ksm4j in this JVM did not publish its registry");
                }
                LockSupport.parkNanos(POLL_NANOS);
            }
        }

        /** Returns null if another copy was faster. */
        private static @Nullable RegionTable join(MBeanServer server, String process, String claim) {
            Object[] published;
            try {
                published = (Object[]) server.getAttribute(MBeans.REGISTRY, MBeans.SHARED_ATTRIBUTE);
            } catch (AttributeNotFoundException e) {
                return keepOwn("the registry in this JVM belongs to another version of ksm4j");
            } catch (JMException | RuntimeException e) {
                Log.debug("the copies of ksm4j that registered the MBean are gone, with their regions", e);
                return succeed(server, process, claim);
            }
            RegionTable found = new RegionTable((Object[]) published[0]);
            @SuppressWarnings("unchecked")
            Map<InvocationHandler, Boolean> copies = (Map<InvocationHandler, Boolean>) published[1];
            // Set now, because loading the classes of the MBeans reads from it.
            table = found;
            MBeans.answerFor(found, copies);
            return found;
        }

        /**
         * Replaces the copies that are gone as the first copy, unless another copy has done so. Returns null in that
         * case.
         */
        private static @Nullable RegionTable succeed(MBeanServer server, String process, String claimOfThoseGone) {
            String claim = newClaim(process);
            Properties properties = System.getProperties();
            if (!properties.replace(PROPERTY, claimOfThoseGone, claim + CLAIMING)) {
                return null;
            }
            try {
                // Other copies ignore the MBean until the claim is complete.
                server.unregisterMBean(MBeans.REGISTRY);
            } catch (JMException alreadyGone) {
                Log.debug("the MBean has been removed already", alreadyGone);
            } finally {
                properties.replace(PROPERTY, claim + CLAIMING, claim);
            }
            return publishSoon(claim);
        }

        private static RegionTable keepOwn(String reason) {
            Log.warning(
                    reason + ": this copy keeps its own registry, and pages that both copies mark are counted"
                            + " separately",
                    null);
            return new RegionTable(RegionTable.newShared());
        }

        @Override
        protected boolean isAwaited() {
            return String.valueOf(System.getProperties().get(PROPERTY)).endsWith(AWAITED);
        }

        /** Waits until another copy waits for this one, or the program has probably started. */
        @Override
        protected void pause() {
            long began = System.nanoTime();
            while (!isAwaited()
                    && System.nanoTime() - began < TimeUnit.MILLISECONDS.toNanos(PAUSE_MILLIS)
                    && !Thread.currentThread().isInterrupted()) {
                LockSupport.parkNanos(2 * POLL_NANOS);
            }
        }

        @Override
        protected void work() throws JMException, ReflectiveOperationException {
            MBeanServer server = ManagementFactory.getPlatformMBeanServer();
            Map<InvocationHandler, Boolean> copies = Collections.synchronizedMap(new WeakHashMap<>());
            MBeans.answerFor(new RegionTable(shared), copies);
            try {
                MBeans.register(server, copies);
            } catch (InstanceAlreadyExistsException e) {
                Log.warning(
                        "the MBean of the registry exists already: it belongs to another version of ksm4j, or the"
                                + " system property " + PROPERTY + " was reset. This copy keeps its own registry",
                        e);
            }
        }

        /** Withdraws the claim, so that other copies stop waiting. */
        @Override
        protected void failed(Throwable failure) {
            withdraw(claim);
            // Without the stack trace, because a program that was stopped immediately is a normal case.
            Log.warning("the MBeans could not be registered; retrying when a region is opened: " + failure, null);
            Log.debug("the failure to register the MBeans", failure);
        }
    }
}
