package io.ksm4j;

/** Which of the modules that ksm4j can do without are in this Java runtime. */
final class JdkModules {

    /** {@code java.management}: MBeans, and one registry for all class loaders. */
    static final boolean MANAGEMENT = has("javax.management.MBeanServer");

    /** {@code jdk.jfr}: events. */
    static final boolean FLIGHT_RECORDER = has("jdk.jfr.FlightRecorder");

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
