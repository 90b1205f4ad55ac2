// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Command lines that run a main class with the Java and the class path of this JVM. */
public final class JavaCommand {

    /**
     * For JVMs that live for seconds. Do not add an option that selects another collector: it would contradict these.
     */
    public static final List<String> SHORT_LIVED = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC");

    private static final int FIRST_WITH_NATIVE_ACCESS = 22;

    private JavaCommand() {}

    /** Returns the class path of this JVM, which Surefire hides in the manifest of a jar. */
    public static String classPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }

    /** Returns a command line; the first word is {@code java}. */
    public static List<String> of(List<String> jvmArguments, String main, String... arguments) {
        return of(classPath(), jvmArguments, main, arguments);
    }

    /** Returns a command line with another class path. */
    public static List<String> of(String classPath, List<String> jvmArguments, String main, String... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(SHORT_LIVED);
        if (Runtime.version().feature() >= FIRST_WITH_NATIVE_ACCESS) {
            command.add("--enable-native-access=ALL-UNNAMED");
        }
        command.addAll(jvmArguments);
        command.addAll(List.of("-cp", classPath, main));
        command.addAll(List.of(arguments));
        return command;
    }
}
