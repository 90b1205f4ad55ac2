// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class LoadFailureTest {

    private static final String FORBIDDEN =
            "java.lang.IllegalCallerException: Illegal native access from an unnamed module (file:/lib/binding.jar)";

    private static String told(String binding, LinkageError failure) {
        UnsupportedOperationException told =
                LoadFailure.of(binding, "org.example:binding", "org.example", "binding.dir", failure);
        assertThat(told).hasCause(failure);
        return told.getMessage();
    }

    @Test
    void reportsAMissingFlagHoweverTheBindingWrapsIt() {
        String expected = "native access is not enabled (" + FORBIDDEN
                + "): run Java with --enable-native-access=ALL-UNNAMED, or =org.example on the module path";
        IllegalCallerException cause =
                new IllegalCallerException("Illegal native access from an unnamed module (file:/lib/binding.jar)");
        assertThat(told("Binding", new ExceptionInInitializerError(cause))).isEqualTo(expected);
        assertThat(told(
                        "Binding",
                        new UnsatisfiedLinkError(FORBIDDEN + "\n\tat java.base/java.lang.Module\n\tat org.example\n")))
                .isEqualTo(expected.replace("(java", "(java.lang.UnsatisfiedLinkError: java"));
        // What the JVM reports for a class that failed to initialize before.
        LinkageError again = new NoClassDefFoundError("Could not initialize class org.example.Native");
        again.initCause(new ExceptionInInitializerError(
                "Exception java.lang.ExceptionInInitializerError [in thread \"main\"]"));
        assertThat(told("Binding", again)).isEqualTo(expected);
    }

    @Test
    void reportsAMissingJarWithoutMentioningDirectories() {
        LinkageError missing = new NoClassDefFoundError("org/example/Native");
        missing.initCause(new ClassNotFoundException("org.example.Native"));
        assertThat(told("Missing", missing))
                .isEqualTo("Missing is missing or incomplete on the class path"
                        + " (java.lang.ClassNotFoundException: org.example.Native): add org.example:binding");
    }

    @Test
    void reportsOtherFailuresInOneLine() {
        assertThat(told("Other", new UnsatisfiedLinkError("/tmp/x.so: failed to map segment\n\tat org.example\n")))
                .startsWith("Other cannot load its native library"
                        + " (java.lang.UnsatisfiedLinkError: /tmp/x.so: failed to map segment)."
                        + " It unpacks the library into "
                        + System.getProperty("java.io.tmpdir"))
                .endsWith("-Dbinding.dir sets another directory");
    }
}
