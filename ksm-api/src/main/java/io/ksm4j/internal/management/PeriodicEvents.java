// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.registry.RegionTable;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandleProxies;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.ref.WeakReference;
import java.security.PrivilegedAction;
import java.util.HashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import javax.security.auth.Subject;
import jdk.jfr.Event;
import jdk.jfr.FlightRecorder;
import org.jspecify.annotations.Nullable;

/**
 * Has Java Flight Recorder ask for {@link StatisticsEvent}s.
 *
 * <p>JFR keeps for ever what it asks, and must not keep a class loader that way. So it gets a {@link Runnable} made of JDK classes
 * that refers to ours weakly.
 *
 * <p>Every copy of ksm4j in the JVM has event types of its own, all with the same names. They have the same numbers to tell, so
 * only one copy does: the one that the MBeans ask. Copies that count alone tell alone.
 */
final class PeriodicEvents {

    /** Loaded when JFR is told of it: an event's class takes longer to load than all that a program needs for its first region. */
    private static final class Answers {

        /** Keeps this copy's answers alive for as long as this class is. */
        static final Map<Class<? extends Event>, Runnable> BY_TYPE = Map.of(
                StatisticsEvent.KernelStatistics.class,
                ifAsked(StatisticsEvent.KernelStatistics::emit),
                StatisticsEvent.ProcessStatistics.class,
                ifAsked(StatisticsEvent.ProcessStatistics::emit),
                StatisticsEvent.RegistryStatistics.class,
                ifAsked(PeriodicEvents::emitRegistryStatistics));
    }

    /** The registry that this copy shows; null before {@link #registerSoon}. */
    private static volatile @Nullable RegionTable table;

    private PeriodicEvents() {}

    private static void emitRegistryStatistics() {
        RegionTable shown = table;
        if (shown != null) {
            StatisticsEvent.RegistryStatistics.emit(shown);
        }
    }

    private static Runnable ifAsked(Runnable emit) {
        return () -> {
            if (!JdkModules.MANAGEMENT || MBeans.isAskedFirst()) {
                emit.run();
            }
        };
    }

    /** Not at once: the first method handle takes a JVM more time than everything else that ksm4j does at start. */
    static void registerSoon(RegionTable table) {
        PeriodicEvents.table = table;
        new BackgroundTask("ksm4j-jfr") {

            // Those that JFR would ask for twice, if they were registered once more.
            private final Set<Class<?>> registered = new HashSet<>();

            @Override
            protected void pause() throws InterruptedException {
                // A recording that runs already may be over soon.
                if (!FlightRecorder.isInitialized()) {
                    Thread.sleep(PAUSE_MILLIS);
                }
            }

            @Override
            protected void work() throws ReflectiveOperationException {
                for (Map.Entry<Class<? extends Event>, Runnable> answer : Answers.BY_TYPE.entrySet()) {
                    if (!registered.contains(answer.getKey())) {
                        register(answer.getKey(), runWhileReachable(new WeakReference<>(answer.getValue())));
                        registered.add(answer.getKey());
                    }
                }
            }

            @Override
            protected void failed(Throwable failure) {
                Log.debug("there will be no statistics in Java Flight Recorder yet", failure);
            }
        }.start();
    }

    /** A runnable of JDK classes alone that does {@code if (target.get() != null) target.get().run()}. */
    private static Runnable runWhileReachable(WeakReference<Runnable> target) throws ReflectiveOperationException {
        MethodHandles.Lookup lookup = MethodHandles.publicLookup();
        MethodHandle get = lookup.findVirtual(WeakReference.class, "get", MethodType.methodType(Object.class))
                .bindTo(target);
        MethodType consumer = MethodType.methodType(void.class, Object.class);
        MethodHandle run = lookup.findVirtual(Runnable.class, "run", MethodType.methodType(void.class))
                .asType(consumer);
        MethodHandle isNull =
                lookup.findStatic(Objects.class, "isNull", MethodType.methodType(boolean.class, Object.class));
        MethodHandle runIfThere = MethodHandles.guardWithTest(isNull, MethodHandles.empty(consumer), run);
        return MethodHandleProxies.asInterfaceInstance(
                Runnable.class, MethodHandles.collectArguments(runIfThere, 0, get));
    }

    /**
     * Before Java 24, JFR keeps the protection domains of its callers too, and with them their class loaders, unless a JDK class
     * calls it on behalf of nobody. What does that will be removed from Java some day, hence by name.
     */
    private static void register(Class<? extends Event> type, Runnable hook) throws ReflectiveOperationException {
        if (Runtime.version().feature() >= 24) {
            FlightRecorder.addPeriodicEvent(type, hook);
            return;
        }
        MethodHandles.Lookup lookup = MethodHandles.publicLookup();
        MethodHandle add = lookup.findStatic(
                FlightRecorder.class,
                "addPeriodicEvent",
                MethodType.methodType(void.class, Class.class, Runnable.class));
        PrivilegedAction<?> action = MethodHandleProxies.asInterfaceInstance(
                PrivilegedAction.class,
                MethodHandles.insertArguments(add, 0, type, hook).asType(MethodType.methodType(Object.class)));
        Subject.class
                .getMethod(
                        "doAsPrivileged",
                        Subject.class,
                        PrivilegedAction.class,
                        Class.forName("java.security.AccessControlContext"))
                .invoke(null, null, action, null);
    }
}
