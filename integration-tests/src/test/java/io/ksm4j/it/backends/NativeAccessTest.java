// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.backends;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.testsupport.JavaCommand;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Where native access is forbidden, as it will be by default, every backend reports this as the cause. */
class NativeAccessTest {

    /** Opens each backend twice: a class whose initialization has failed fails in another way the second time. */
    static final class Asks {

        private Asks() {}

        public static void main(String[] args) {
            for (int i = 0; i < 2; i++) {
                try {
                    System.out.println(Ksm.system().backend());
                } catch (KsmUnsupportedException e) {
                    System.out.println(e.getMessage());
                }
            }
        }
    }

    @Test
    void theMissingFlagIsReportedAsTheCause() {
        ChildJvm child = ChildJvm.run(
                        Path.of(System.getProperty("java.home")),
                        List.of("--illegal-native-access=deny", "-cp", JavaCommand.classPath(), Asks.class.getName()))
                .assertEndedWell();
        for (String backend : List.of("ffm", "jnr", "jna")) {
            String told = "  " + backend + ": native access is not enabled (";
            assertThat(child.output()).containsSubsequence(told, told);
        }
        assertThat(child.output()).doesNotContain("\tat ").doesNotContain("java.io.tmpdir");
    }
}
