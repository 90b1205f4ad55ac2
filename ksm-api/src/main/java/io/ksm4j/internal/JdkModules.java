// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import jdk.jfr.FlightRecorder;

/** Which of the JDK modules that are optional for ksm4j this Java runtime contains. */
public final class JdkModules {

    /** {@code java.management}: for MBeans, and for one registry across all class loaders. */
    public static final boolean MANAGEMENT = has("javax.management.MBeanServer");

    /** {@code jdk.jfr}: for events. */
    public static final boolean FLIGHT_RECORDER = has("jdk.jfr.FlightRecorder");

    private JdkModules() {}

    /**
     * Returns whether something may be recording events. Reads a field and allocates nothing. If it is false, no class
     * that has events needs to be loaded.
     */
    public static boolean isFlightRecorderInitialized() {
        return FLIGHT_RECORDER && FlightRecorder.isInitialized();
    }

    private static boolean has(String type) {
        try {
            Class.forName(type, false, ClassLoader.getPlatformClassLoader());
            return true;
        } catch (ClassNotFoundException | LinkageError e) {
            return false;
        }
    }
}
