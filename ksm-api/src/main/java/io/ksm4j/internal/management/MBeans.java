// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.internal.Log;
import io.ksm4j.internal.registry.RegionTable;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.KsmStatsMXBean;
import io.ksm4j.stats.MergeRegistryMXBean;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.stats.ProcessKsmStatsMXBean;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandleProxies;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Supplier;
import javax.management.AttributeList;
import javax.management.DynamicMBean;
import javax.management.InstanceAlreadyExistsException;
import javax.management.JMException;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanFeatureInfo;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import javax.management.StandardMBean;
import org.jspecify.annotations.Nullable;

/**
 * The MBeans of ksm4j: one each for the registry, the kernel and this process, which all copies in the JVM share.
 *
 * <p>The MBean server keeps registered objects forever, but must not keep a class loader reachable. Therefore the
 * MBeans consist of JDK classes only: proxies that forward each call to any copy that is still loaded, which they find
 * in a map with weak keys.
 */
final class MBeans {

    static final ObjectName REGISTRY = name(MergeRegistryMXBean.OBJECT_NAME);

    /**
     * An attribute that can be read by name but is not in the list of attributes. Copies with another layout do not
     * know it.
     */
    static final String SHARED_ATTRIBUTE = "Shared/" + RegionTable.LAYOUT;

    /** The copies that answer, including this one; null while this copy does not. */
    private static volatile @Nullable Map<InvocationHandler, Boolean> copies;

    /** Keeps the handler of this copy reachable for as long as this class is. */
    private static volatile @Nullable InvocationHandler answers;

    private MBeans() {}

    /** Adds this copy to those that answer. */
    static void answerFor(RegionTable table, Map<InvocationHandler, Boolean> copies) {
        Map<String, Bean<?, ?>> beans = Map.of(
                MergeRegistryMXBean.OBJECT_NAME,
                new Bean<>(MergeRegistryMXBean.class, () -> table, RegistryBean::new),
                KsmStatsMXBean.OBJECT_NAME,
                new Bean<>(KsmStatsMXBean.class, KsmStats::read, KsmStatsBean::new),
                ProcessKsmStatsMXBean.OBJECT_NAME,
                new Bean<>(ProcessKsmStatsMXBean.class, ProcessKsmStats::read, ProcessKsmStatsBean::new));
        RegistryBean.loadClasses();
        beans.values().forEach(Bean::loadClasses);
        InvocationHandler answer = (name, method, arguments) -> {
            if (method.getName().equals("getAttribute") && SHARED_ATTRIBUTE.equals(arguments[0])) {
                return new Object[] {table.shared(), copies};
            }
            try {
                return method.invoke(beans.get(name), arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        };
        copies.put(answer, Boolean.TRUE);
        answers = answer;
        MBeans.copies = copies;
    }

    /** {@return whether the MBeans currently call this copy, or this copy answers for no MBeans} */
    static boolean isCurrentCopy() {
        Map<InvocationHandler, Boolean> all = copies;
        if (all == null) {
            return true;
        }
        Object[] inOrder = all.keySet().toArray();
        return inOrder.length > 0 && inOrder[0].equals(answers);
    }

    /**
     * Registers the MBeans, and replaces those whose copies are gone. The MBean of the registry comes last, because
     * other copies wait for it and find each other through it: while it exists, no MBean is replaced.
     */
    static void register(MBeanServer server, Map<InvocationHandler, Boolean> copies)
            throws JMException, ReflectiveOperationException {
        if (server.isRegistered(REGISTRY)) {
            throw new InstanceAlreadyExistsException(MergeRegistryMXBean.OBJECT_NAME);
        }
        for (String name : List.of(
                KsmStatsMXBean.OBJECT_NAME, ProcessKsmStatsMXBean.OBJECT_NAME, MergeRegistryMXBean.OBJECT_NAME)) {
            if (server.isRegistered(name(name))) {
                server.unregisterMBean(name(name));
            }
            server.registerMBean(callAnyCopy(copies, name), name(name));
        }
    }

    /**
     * Returns an MBean that consists of JDK classes only. It does
     * {@code copies.keySet().toArray()[0].invoke(name, method, arguments)}, or throws {@code IllegalStateException} if
     * no copy is left.
     */
    private static Object callAnyCopy(Map<InvocationHandler, Boolean> copies, String name)
            throws ReflectiveOperationException {
        MethodHandles.Lookup lookup = MethodHandles.publicLookup();
        MethodHandle keySet = lookup.findVirtual(Map.class, "keySet", MethodType.methodType(Set.class))
                .bindTo(copies);
        MethodHandle toArray = lookup.findVirtual(Set.class, "toArray", MethodType.methodType(Object[].class));
        MethodHandle first = MethodHandles.insertArguments(MethodHandles.arrayElementGetter(Object[].class), 1, 0);
        MethodHandle noneLeft = MethodHandles.foldArguments(
                MethodHandles.throwException(Object.class, IllegalStateException.class),
                MethodHandles.insertArguments(
                        lookup.findConstructor(
                                IllegalStateException.class, MethodType.methodType(void.class, String.class)),
                        0,
                        "ksm4j is no longer loaded in this JVM"));
        MethodHandle firstIfAny = MethodHandles.catchException(
                first,
                ArrayIndexOutOfBoundsException.class,
                MethodHandles.dropArguments(noneLeft, 0, ArrayIndexOutOfBoundsException.class, Object[].class));
        MethodHandle anyCopy = MethodHandles.filterReturnValue(
                        MethodHandles.filterReturnValue(keySet, toArray), firstIfAny)
                .asType(MethodType.methodType(InvocationHandler.class));
        MethodHandle invoke = lookup.findVirtual(
                InvocationHandler.class,
                "invoke",
                MethodType.methodType(Object.class, Object.class, Method.class, Object[].class));
        MethodHandle invokeByName =
                MethodHandles.insertArguments(MethodHandles.foldArguments(invoke, anyCopy), 0, name);
        InvocationHandler handler = MethodHandleProxies.asInterfaceInstance(
                InvocationHandler.class, MethodHandles.dropArguments(invokeByName, 0, Object.class));
        return Proxy.newProxyInstance(
                ClassLoader.getPlatformClassLoader(), new Class<?>[] {DynamicMBean.class}, handler);
    }

    private static ObjectName name(String name) {
        try {
            return ObjectName.getInstance(name);
        } catch (JMException e) {
            throw new AssertionError(e);
        }
    }

    /**
     * An MXBean that describes its attributes, and reads the underlying files only once if several attributes are
     * requested.
     */
    private static final class Bean<T, S> extends StandardMBean {

        private final Class<T> type;
        private final Supplier<S> read;
        private final Function<Supplier<S>, T> show;

        Bean(Class<T> type, Supplier<S> read, Function<Supplier<S>, T> show) {
            super(show.apply(read), type, true);
            this.type = type;
            this.read = read;
            this.show = show;
        }

        @Override
        public AttributeList getAttributes(String[] names) {
            S once = read.get();
            return new StandardMBean(show.apply(() -> once), type, true).getAttributes(names);
        }

        @Override
        protected String getDescription(MBeanAttributeInfo attribute) {
            return attribute.getDescriptor().getFieldValue("meaning") + " ("
                    + attribute.getDescriptor().getFieldValue("units") + ")";
        }

        /**
         * Loads all classes that answering needs. A copy may be called when its class loader is closed, and can then
         * load no more classes.
         */
        void loadClasses() {
            try {
                getAttributes(Arrays.stream(getMBeanInfo().getAttributes())
                        .map(MBeanFeatureInfo::getName)
                        .toArray(String[]::new));
            } catch (RuntimeException e) {
                Log.debug("the attributes of an MBean cannot be read now", e);
            }
        }
    }
}
