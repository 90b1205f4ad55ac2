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
 * Finds the JVM's one {@link RegionTable}, whichever class loader asks.
 *
 * <p>The table is handed from copy to copy of ksm4j through the registry's MBean, the one place in a JVM where objects can be
 * left under a name. Starting the platform's MBean server takes a JVM some hundred milliseconds, more than everything else
 * that ksm4j does at start. So the first copy does not wait for it: it makes a table, says in a system property that it has
 * one, and registers the MBean from a thread of its own. A later copy sees the property and waits for the MBean.
 *
 * <p>The MBean keeps no copy ({@link MBeans}). When the last copy is gone there are no regions left to show, and the next copy
 * starts anew.
 *
 * <p>A copy counts alone, and warns, where the MBean is that of a copy with another {@link RegionTable#LAYOUT}; where the first copy cannot
 * publish its table within {@value #PATIENCE_SECONDS} seconds; and where the property was reset, as {@code System.setProperties}
 * does: it then takes itself for the first, and finds the MBean there when it has regions already. With
 * {@code -Dio.ksm4j.jmx=false}, and in a runtime without the module {@code java.management}, every copy counts alone.
 *
 * <p>Finding the table may fail for want of memory or of a thread. It is tried again when the table is next asked for.
 */
public final class SharedTable {

    /** The claim of the copy that has the table. It begins with the process id: build tools copy system properties to the JVMs they start. */
    private static final String PROPERTY = "io.ksm4j.registry." + RegionTable.LAYOUT;

    /** Behind a claim: a copy waits for the MBean. */
    private static final String AWAITED = " awaited";

    /** Behind a claim: the MBean is one of copies that are gone, and about to be removed. */
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

    /** What needs JMX, and is loaded only where there is JMX. */
    private static final class Publication extends BackgroundTask {

        private final Object[] shared;

        /** What this copy has put into the property. */
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
                // It loads two dozen classes.
                return Long.toString(ProcessHandle.current().pid());
            }
        }

        /** Each claim differs from all before it, so that only the one that was seen can be replaced. */
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

        /** Returns null if there is no first copy any more. */
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
                return keepOwn("the registry in this JVM is that of another version of ksm4j");
            } catch (JMException | RuntimeException e) {
                Log.debug("the copies of ksm4j that registered the MBean are gone, their regions too", e);
                return succeed(server, process, claim);
            }
            RegionTable found = new RegionTable((Object[]) published[0]);
            @SuppressWarnings("unchecked")
            Map<InvocationHandler, Boolean> copies = (Map<InvocationHandler, Boolean>) published[1];
            // What is read to load the classes of the answers comes from there.
            table = found;
            MBeans.answerFor(found, copies);
            return found;
        }

        /** Becomes the first copy in place of those that are gone, unless another one has. */
        private static @Nullable RegionTable succeed(MBeanServer server, String process, String claimOfThoseGone) {
            String claim = newClaim(process);
            Properties properties = System.getProperties();
            if (!properties.replace(PROPERTY, claimOfThoseGone, claim + CLAIMING)) {
                return null;
            }
            try {
                // Until the claim is complete, no other copy looks at the MBean.
                server.unregisterMBean(MBeans.REGISTRY);
            } catch (JMException alreadyGone) {
                Log.debug("it is not there any more", alreadyGone);
            } finally {
                properties.replace(PROPERTY, claim + CLAIMING, claim);
            }
            return publishSoon(claim);
        }

        private static RegionTable keepOwn(String reason) {
            Log.warning(
                    reason + ": this copy keeps its own, and pages that both copies mark are not counted together",
                    null);
            return new RegionTable(RegionTable.newShared());
        }

        @Override
        protected boolean isAwaited() {
            return String.valueOf(System.getProperties().get(PROPERTY)).endsWith(AWAITED);
        }

        /** Until another copy waits, or the program is likely to have started. */
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
                        "the registry's MBean is there already: it is that of another version of ksm4j, or the system property "
                                + PROPERTY + " was reset. This copy keeps its own registry",
                        e);
            }
        }

        /** Other copies do not wait any longer. */
        @Override
        protected void failed(Throwable failure) {
            withdraw(claim);
            // Without the stack trace: that of a program which was stopped at once is no news.
            Log.warning("no MBeans yet, which is tried again when a region is opened: " + failure, null);
            Log.debug("the MBeans could not be registered", failure);
        }
    }
}
