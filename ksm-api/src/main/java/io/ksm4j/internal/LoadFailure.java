package io.ksm4j.internal;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Tells why a binding such as JNA could not load its native library. */
public final class LoadFailure {

    /** What was told first of each binding. A class that could not be initialized fails again, and the JVM forgets why. */
    private static final Map<String, String> FIRST = new ConcurrentHashMap<>();

    private LoadFailure() {}

    /**
     * The failure as a provider of backends tells it.
     *
     * @param binding what could not be loaded, by its name
     * @param artifact what to add to the class path to have it
     * @param module its module
     * @param folderProperty the system property that names the folder to which it unpacks its library
     * @param failure what it has thrown
     * @return with the cause and its cure
     */
    public static UnsupportedOperationException of(
            String binding, String artifact, String module, String folderProperty, LinkageError failure) {
        String message = explain(binding, artifact, module, folderProperty, failure);
        String first = FIRST.putIfAbsent(binding, message);
        return new UnsupportedOperationException(
                failure instanceof NoClassDefFoundError && first != null ? first : message, failure);
    }

    private static String explain(
            String binding, String artifact, String module, String folderProperty, LinkageError failure) {
        Throwable cause = failure;
        boolean isForbidden = false;
        boolean isMissing = false;
        for (Throwable next = failure; next != null; next = next.getCause()) {
            cause = next;
            // Some bindings keep the text of a failure alone.
            isForbidden |= next.toString().contains("IllegalCallerException");
            isMissing |= next instanceof ClassNotFoundException;
        }
        String reason = firstLine(cause);
        if (isForbidden) {
            return "native access is not enabled (" + reason
                    + "): run Java with --enable-native-access=ALL-UNNAMED, or =" + module + " on the module path";
        }
        if (isMissing) {
            return binding + " is not on the class path, or not as a whole (" + reason + "): add " + artifact;
        }
        if (Descriptors.areUsedUp()) {
            return binding + " cannot load its native library: " + Descriptors.USED_UP;
        }
        return binding + " cannot load its native library (" + reason + "). It unpacks it to "
                + System.getProperty("java.io.tmpdir") + ", where it must be allowed to write and to execute files; -D"
                + folderProperty + " names another folder";
    }

    /** What follows may be a stack trace. */
    private static String firstLine(Throwable cause) {
        return cause.toString().strip().lines().findFirst().orElse("");
    }
}
