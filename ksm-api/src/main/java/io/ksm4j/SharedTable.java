package io.ksm4j;

import java.lang.System.Logger.Level;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandleProxies;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Collections;
import java.util.Map;
import java.util.Set;
import java.util.WeakHashMap;
import javax.management.AttributeNotFoundException;
import javax.management.DynamicMBean;
import javax.management.InstanceAlreadyExistsException;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import javax.management.StandardMBean;
import org.jspecify.annotations.Nullable;

/**
 * Finds the JVM's one {@link RegionTable}, whichever class loader asks.
 *
 * <p>The table is handed from copy to copy of ksm4j through the registry's MBean, the one place in a JVM where objects can be
 * left under a name. Starting the platform's MBean server takes a JVM some hundred milliseconds, more than everything else
 * that ksm4j does at start. So the first copy does not wait for it: it makes a table, says in a system property that it has
 * one, and registers the MBean from a thread of its own. A later copy sees the property and waits for the MBean.
 *
 * <p>The MBean server keeps what is registered for ever, and must not keep a class loader that way. So the MBean is made of
 * JDK classes only: a proxy that asks any living copy, out of a map with weak keys, for the answer. When the last copy is gone
 * there are no regions left to show, and the next copy starts anew.
 *
 * <p>A copy counts alone, and warns, where the MBean is that of a copy with another {@link RegionTable#LAYOUT}, and where
 * somebody has reset the property, as {@code System.setProperties} does: it then takes itself for the first, and finds the MBean
 * there when it has regions already. With {@code -Dio.ksm4j.jmx=false} every copy counts alone.
 */
final class SharedTable {

    /** Which JVM has a table, by its process id: build tools copy system properties to the JVMs they start. */
    private static final String PROPERTY = "io.ksm4j.registry." + RegionTable.LAYOUT;

    private static final String JMX_PROPERTY = "io.ksm4j.jmx";

    /** Asked for by name only; not among the attributes that the MBean lists. Copies with another layout don't know it. */
    private static final String SHARED_ATTRIBUTE = "Shared/" + RegionTable.LAYOUT;

    /** The one lock that all copies know: a string literal is one object in the whole JVM. */
    private static final Object MONITOR = ("io.ksm4j.MergeRegistry/" + RegionTable.LAYOUT).intern();

    private static final long PATIENCE_NANOS = 30_000_000_000L;

    /** Who answers for the table, if another copy made it; to be joined once {@link #TABLE} is there to answer from. */
    private static @Nullable Map<InvocationHandler, Boolean> copiesToJoin;

    static final RegionTable TABLE = new RegionTable(find());

    /** Keeps this copy's answers alive for as long as this class is. */
    @SuppressWarnings("unused")
    private static volatile @Nullable InvocationHandler answers;

    static {
        if (copiesToJoin != null) {
            answerFor(TABLE.shared(), copiesToJoin);
            copiesToJoin = null;
        }
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
        return Long.toString(ProcessHandle.current().pid());
    }

    private static Object[] publishSoon() {
        System.setProperty(PROPERTY, process());
        Object[] shared = RegionTable.newShared();
        Thread publisher = new Thread(() -> publish(shared), "ksm4j-mbean");
        publisher.setDaemon(true);
        // MethodHandleProxies defines a class in the context class loader, which must not be one that may have to go.
        publisher.setContextClassLoader(ClassLoader.getSystemClassLoader());
        publisher.start();
        return shared;
    }

    private static Object[] waitForFirstCopy() {
        MBeanServer server = ManagementFactory.getPlatformMBeanServer();
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        boolean interrupted = false;
        try {
            synchronized (MONITOR) {
                while (!server.isRegistered(name())) {
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
            Object[] published = (Object[]) server.getAttribute(name(), SHARED_ATTRIBUTE);
            Object[] table = (Object[]) published[0];
            @SuppressWarnings("unchecked")
            Map<InvocationHandler, Boolean> copies = (Map<InvocationHandler, Boolean>) published[1];
            copiesToJoin = copies;
            return table;
        } catch (AttributeNotFoundException e) {
            return keepOwn("the registry in this JVM is that of another version of ksm4j");
        } catch (JMException | RuntimeException e) {
            Ksm.LOGGER.log(Level.DEBUG, "the copies of ksm4j that registered the MBean are gone, their regions too", e);
            try {
                server.unregisterMBean(name());
            } catch (JMException alreadyGone) {
                e.addSuppressed(alreadyGone);
            }
            return publishSoon();
        }
    }

    private static Object[] keepOwn(String reason) {
        Ksm.LOGGER.log(
                Level.WARNING,
                reason + ": this copy keeps its own, and pages that both copies mark are not counted together");
        return RegionTable.newShared();
    }

    private static void publish(Object[] table) {
        boolean published = false;
        try {
            // Not with the monitor held: others may be starting the server, and wait for us as they do.
            MBeanServer server = ManagementFactory.getPlatformMBeanServer();
            Map<InvocationHandler, Boolean> copies = Collections.synchronizedMap(new WeakHashMap<>());
            answerFor(table, copies);
            server.registerMBean(askAnyCopy(copies), name());
            published = true;
        } catch (InstanceAlreadyExistsException e) {
            published = true;
            Ksm.LOGGER.log(
                    Level.WARNING,
                    "the registry's MBean is there already: it is that of another version of ksm4j, or somebody has reset "
                            + PROPERTY + ". This copy keeps its own registry",
                    e);
        } catch (JMException | ReflectiveOperationException | LinkageError | RuntimeException e) {
            Ksm.LOGGER.log(Level.WARNING, "the registry's MBean could not be registered", e);
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

    /** Makes this copy one of those that answer. */
    private static void answerFor(Object[] table, Map<InvocationHandler, Boolean> copies) {
        RegistryBean registry = new RegistryBean();
        registry.loadClasses();
        StandardMBean bean = new StandardMBean(registry, MergeRegistryMXBean.class, true);
        InvocationHandler answer = (proxy, method, arguments) -> {
            if (method.getName().equals("getAttribute") && SHARED_ATTRIBUTE.equals(arguments[0])) {
                return new Object[] {table, copies};
            }
            try {
                return method.invoke(bean, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        };
        copies.put(answer, Boolean.TRUE);
        answers = answer;
    }

    /** An MBean of JDK classes alone that does {@code copies.keySet().toArray()[0].invoke(proxy, method, arguments)}. */
    private static Object askAnyCopy(Map<InvocationHandler, Boolean> copies) throws ReflectiveOperationException {
        MethodHandles.Lookup lookup = MethodHandles.publicLookup();
        MethodHandle keySet = lookup.findVirtual(Map.class, "keySet", MethodType.methodType(Set.class))
                .bindTo(copies);
        MethodHandle toArray = lookup.findVirtual(Set.class, "toArray", MethodType.methodType(Object[].class));
        MethodHandle first = MethodHandles.insertArguments(MethodHandles.arrayElementGetter(Object[].class), 1, 0);
        MethodHandle anyCopy = MethodHandles.filterReturnValue(MethodHandles.filterReturnValue(keySet, toArray), first)
                .asType(MethodType.methodType(InvocationHandler.class));
        MethodHandle invoke = lookup.findVirtual(
                InvocationHandler.class,
                "invoke",
                MethodType.methodType(Object.class, Object.class, Method.class, Object[].class));
        InvocationHandler handler = MethodHandleProxies.asInterfaceInstance(
                InvocationHandler.class, MethodHandles.foldArguments(invoke, anyCopy));
        return Proxy.newProxyInstance(
                ClassLoader.getPlatformClassLoader(), new Class<?>[] {DynamicMBean.class}, handler);
    }

    private static ObjectName name() {
        try {
            return ObjectName.getInstance(MergeRegistryMXBean.OBJECT_NAME);
        } catch (JMException e) {
            throw new AssertionError(e);
        }
    }
}
