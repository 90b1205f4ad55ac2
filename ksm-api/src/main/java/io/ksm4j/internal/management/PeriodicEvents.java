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
 * Registers {@link StatisticsEvent}s with Java Flight Recorder.
 *
 * <p>JFR keeps registered hooks forever, but must not keep a class loader reachable. Therefore it gets a
 * {@link Runnable} that consists of JDK classes and refers to ours weakly.
 *
 * <p>Every copy of ksm4j in the JVM has its own event types, with the same names and the same values. Therefore only
 * one copy emits the events: the one that the MBeans call. Copies with their own registry emit their own events.
 */
final class PeriodicEvents {

    /**
     * The hooks. Loaded only when they are registered: loading an event class takes longer than everything that a
     * program needs for its first region.
     */
    private static final class Hooks {

        /** Keeps the hooks of this copy reachable for as long as this class is. */
        static final Map<Class<? extends Event>, Runnable> BY_TYPE = Map.of(
                StatisticsEvent.KernelStatistics.class,
                ifCurrentCopy(StatisticsEvent.KernelStatistics::emit),
                StatisticsEvent.ProcessStatistics.class,
                ifCurrentCopy(StatisticsEvent.ProcessStatistics::emit),
                StatisticsEvent.RegistryStatistics.class,
                ifCurrentCopy(PeriodicEvents::emitRegistryStatistics));
    }

    /** The table that this copy reports; null before {@link #registerSoon}. */
    private static volatile @Nullable RegionTable table;

    private PeriodicEvents() {}

    private static void emitRegistryStatistics() {
        RegionTable shown = table;
        if (shown != null) {
            StatisticsEvent.RegistryStatistics.emit(shown);
        }
    }

    private static Runnable ifCurrentCopy(Runnable emit) {
        return () -> {
            if (!JdkModules.MANAGEMENT || MBeans.isCurrentCopy()) {
                emit.run();
            }
        };
    }

    /**
     * Registers the events in the background, because creating the first method handle takes a JVM longer than
     * everything else that ksm4j does at startup.
     */
    static void registerSoon(RegionTable table) {
        PeriodicEvents.table = table;
        new BackgroundTask("ksm4j-jfr") {

            // If these were registered again, JFR would call them twice.
            private final Set<Class<?>> registered = new HashSet<>();

            @Override
            protected void pause() throws InterruptedException {
                // A recording that is already running may end soon.
                if (!FlightRecorder.isInitialized()) {
                    Thread.sleep(PAUSE_MILLIS);
                }
            }

            @Override
            protected void work() throws ReflectiveOperationException {
                for (Map.Entry<Class<? extends Event>, Runnable> hook : Hooks.BY_TYPE.entrySet()) {
                    if (!registered.contains(hook.getKey())) {
                        register(hook.getKey(), runWhileReachable(new WeakReference<>(hook.getValue())));
                        registered.add(hook.getKey());
                    }
                }
            }

            @Override
            protected void failed(Throwable failure) {
                Log.debug("statistics could not be registered with Java Flight Recorder", failure);
            }
        }.start();
    }

    /**
     * Returns a runnable that consists of JDK classes only and does
     * {@code if (target.get() != null) target.get().run()}.
     */
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
     * Registers a hook. Before Java 24, JFR also keeps the protection domains of its callers, and with them their class
     * loaders, unless a JDK class calls it without a subject. The method for that is called reflectively, because it
     * will be removed from Java.
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
