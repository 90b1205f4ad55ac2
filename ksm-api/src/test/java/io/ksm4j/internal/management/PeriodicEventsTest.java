// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.internal.registry.RegionTable;
import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Must run on every supported Java version: before Java 24, Java Flight Recorder keeps more than the objects passed to
 * it.
 */
class PeriodicEventsTest {

    @TempDir
    private Path directory;

    @Test
    void statisticsAreRecordedAndKeepNoClassLoader() throws Exception {
        try (Recording recording = new Recording()) {
            recording.enable("io.ksm4j.KernelStatistics").with("period", "everyChunk");
            recording.start();
            ReferenceQueue<ClassLoader> collected = new ReferenceQueue<>();
            Reference<ClassLoader> loader = new PhantomReference<>(registerInItsOwnClassLoader(), collected);

            long deadline = System.nanoTime() + PATIENCE.toNanos();
            Reference<?> found = null;
            while (found == null && System.nanoTime() < deadline) {
                System.gc();
                found = collected.remove(20);
            }
            assertThat(found).isSameAs(loader);
        }
    }

    private ClassLoader registerInItsOwnClassLoader() throws Exception {
        URL classes = Ksm.class.getProtectionDomain().getCodeSource().getLocation();
        ClassLoader loader = new URLClassLoader(new URL[] {classes}, ClassLoader.getPlatformClassLoader());
        Class<?> table = Class.forName(RegionTable.class.getName(), true, loader);
        Constructor<?> newTable = table.getDeclaredConstructor(Object[].class);
        newTable.setAccessible(true);
        Method register =
                Class.forName(PeriodicEvents.class.getName(), true, loader).getDeclaredMethod("registerSoon", table);
        register.setAccessible(true);
        register.invoke(null, newTable.newInstance((Object) RegionTable.newShared()));
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().equals("ksm4j-jfr")) {
                thread.join();
            }
        }
        Path file = directory.resolve("before.jfr");
        try (Recording untilNow = FlightRecorder.getFlightRecorder().takeSnapshot()) {
            untilNow.dump(file);
        }
        assertThat(RecordingFile.readAllEvents(file))
                .anyMatch(event -> event.getEventType().getName().equals("io.ksm4j.KernelStatistics"));
        return loader;
    }
}
