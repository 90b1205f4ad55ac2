package io.ksm4j.internal;

/** Which of the modules that ksm4j can do without are in this Java runtime. */
public final class JdkModules {

    /** {@code java.management}: MBeans, and one registry for all class loaders. */
    public static final boolean MANAGEMENT = has("javax.management.MBeanServer");

    /** {@code jdk.jfr}: events. */
    public static final boolean FLIGHT_RECORDER = has("jdk.jfr.FlightRecorder");

    private JdkModules() {}

    private static boolean has(String type) {
        try {
            Class.forName(type, false, ClassLoader.getPlatformClassLoader());
            return true;
        } catch (ClassNotFoundException | LinkageError e) {
            return false;
        }
    }
}
