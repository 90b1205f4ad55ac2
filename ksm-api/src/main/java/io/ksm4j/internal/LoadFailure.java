// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Explains why a binding such as JNA could not load its native library. */
public final class LoadFailure {

    /**
     * The first explanation for each binding. A class that failed to initialize fails again on every use, and the JVM
     * may not report the original cause then.
     */
    private static final Map<String, String> FIRST = new ConcurrentHashMap<>();

    private LoadFailure() {}

    /**
     * Returns the exception for a provider of backends to throw.
     *
     * @param binding the name of what could not be loaded
     * @param artifact the artifact to add to the class path
     * @param module the module of the binding
     * @param directoryProperty the system property for the directory into which the binding unpacks its library
     * @param failure the exception thrown
     * @return an exception with the cause and how to fix it
     */
    public static UnsupportedOperationException of(
            String binding, String artifact, String module, String directoryProperty, LinkageError failure) {
        String message = explain(binding, artifact, module, directoryProperty, failure);
        String first = FIRST.putIfAbsent(binding, message);
        return new UnsupportedOperationException(
                failure instanceof NoClassDefFoundError && first != null ? first : message, failure);
    }

    private static String explain(
            String binding, String artifact, String module, String directoryProperty, LinkageError failure) {
        Throwable cause = failure;
        boolean isForbidden = false;
        boolean isMissing = false;
        for (Throwable next = failure; next != null; next = next.getCause()) {
            cause = next;
            // Some bindings keep only the text of a failure.
            isForbidden |= next.toString().contains("IllegalCallerException");
            isMissing |= next instanceof ClassNotFoundException;
        }
        String reason = firstLine(cause);
        if (isForbidden) {
            return "native access is not enabled (" + reason
                    + "): run Java with --enable-native-access=ALL-UNNAMED, or =" + module + " on the module path";
        }
        if (isMissing) {
            return binding + " is missing or incomplete on the class path (" + reason + "): add " + artifact;
        }
        if (Descriptors.areUsedUp()) {
            return binding + " cannot load its native library: " + Descriptors.USED_UP;
        }
        return binding + " cannot load its native library (" + reason + "). It unpacks the library into "
                + System.getProperty("java.io.tmpdir") + ", where it must be able to write and execute files; -D"
                + directoryProperty + " sets another directory";
    }

    /** The following lines may be a stack trace. */
    private static String firstLine(Throwable cause) {
        return cause.toString().strip().lines().findFirst().orElse("");
    }
}
