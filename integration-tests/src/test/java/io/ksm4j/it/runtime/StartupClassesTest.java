// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import java.io.File;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What ksm4j loads before a program's first region is marked: nothing that takes milliseconds and is not needed. */
class StartupClassesTest {

    private static final int ATTEMPTS = 10;
    private static final String UNDISTURBED = "undisturbed";

    /** Loaded once the region is marked. */
    static final class Marked {

        private Marked() {}

        /** Returns whether the threads that load further classes half a second later are still waiting. */
        static boolean isUndisturbed() {
            return Thread.getAllStackTraces().keySet().stream()
                            .filter(thread -> thread.getName().startsWith("ksm4j-"))
                            .filter(thread -> thread.getState() == Thread.State.TIMED_WAITING)
                            .count()
                    == 3;
        }
    }

    static final class MarksOne {

        private MarksOne() {}

        public static void main(String[] args) {
            try (MergeRegion region = Ksm.system().allocate(1)) {
                System.out.println(Marked.isUndisturbed() ? UNDISTURBED : region);
            }
        }
    }

    @Test
    @EnabledIfKsm
    void firstMarkNeedsNoLambdaOneDowncallAndNoEvents() throws Exception {
        List<String> loaded = loadedUntilMarked();
        assertThat(loaded).anyMatch(line -> line.contains(" io.ksm4j.Ksm "));
        assertThat(loaded).noneMatch(line -> line.contains(" io.ksm4j.") && line.contains("$$Lambda"));
        assertThat(loaded).noneMatch(line -> line.contains(" io.ksm4j.RegionEvents"));
        assertThat(loaded)
                .filteredOn(line -> line.contains(" jdk.internal.foreign.abi.DowncallStub/"))
                .hasSize(1);
    }

    private static List<String> loadedUntilMarked() throws Exception {
        List<String> command = List.of(
                "-Xlog:class+load", "--enable-native-access=ALL-UNNAMED", "-cp", classPath(), MarksOne.class.getName());
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
            ChildJvm child = ChildJvm.run(Path.of(System.getProperty("java.home")), command);
            child.assertEndedWell();
            List<String> lines = child.output().lines().toList();
            if (lines.contains(UNDISTURBED)) {
                return lines.stream()
                        .takeWhile(line -> !line.contains(' ' + Marked.class.getName() + ' '))
                        .toList();
            }
        }
        throw new AssertionError("the threads of ksm4j ran before the region was marked, in each attempt");
    }

    private static String classPath() throws ReflectiveOperationException, URISyntaxException {
        List<String> entries = new ArrayList<>();
        for (Class<?> type : List.of(MarksOne.class, Ksm.class, Class.forName("io.ksm4j.ffm.FfmBackendProvider"))) {
            entries.add(Path.of(type.getProtectionDomain()
                            .getCodeSource()
                            .getLocation()
                            .toURI())
                    .toString());
        }
        return String.join(File.pathSeparator, entries);
    }
}
