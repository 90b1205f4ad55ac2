// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.it.fixtures.SeccompFilter;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.MemoryCgroup;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code ksm doctor} on this machine as it is and with problems. */
@EnabledIfKsm(control = true)
class DoctorCommandTest {

    private static final int EPERM = 1;
    private static final int MADV_MERGEABLE = 12;

    @Test
    void mergingCanWorkWhileKsmdRuns(RunningKsmd ksmd) {
        KsmSettings before = KsmDaemon.system().settings();

        EndedProcess doctor = KsmProcess.run("doctor");

        assertThat(doctor.exitStatus()).as(doctor.output()).isZero();
        assertThat(doctor.errors()).isEmpty();
        assertThat(doctor.output())
                .contains(
                        "ok       kernel ",
                        "ok       ksmd ",
                        "ok       rights ",
                        "ok       backend ",
                        "ok       advice ")
                .doesNotContain("failed ")
                .endsWith("\nMerging can work here.\n");
        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
    }

    @Test
    void theRemedyForAStoppedKsmdIsToStartIt(RunningKsmd ksmd) {
        ksmd.set(KsmSetting.RUN, 0);

        EndedProcess doctor = KsmProcess.run("doctor");

        assertThat(doctor.exitStatus()).isEqualTo(3);
        assertThat(doctor.output())
                .containsPattern("fixable  ksmd .*\n +-> echo 1 > /sys/kernel/mm/ksm/run")
                .endsWith(
                        "\nMerging would work here after:\n  echo 1 > /sys/kernel/mm/ksm/run, or ksm tune; as root\n");
        assertThat(ksmd.read("run")).isZero();
    }

    @Test
    void theKernelsDefaultsAreSlowAndNoPagesToScanFail(RunningKsmd ksmd) {
        ksmd.set(KsmSetting.PAGES_TO_SCAN, 100);
        ksmd.set(KsmSetting.SLEEP_MILLISECS, 20);

        EndedProcess slow = KsmProcess.run("doctor");

        assertThat(slow.exitStatus()).as(slow.output()).isZero();
        assertThat(slow.output())
                .containsPattern("warning  speed .*pages_to_scan is 100 and sleep_millisecs 20\n +-> ksm tune ");

        ksmd.set(KsmSetting.PAGES_TO_SCAN, 0);

        EndedProcess never = KsmProcess.run("doctor", "--json");

        assertThat(never.exitStatus()).isEqualTo(3);
        assertThat(never.output())
                .startsWith("{\"canMerge\": false, \"verdict\": \"fixable\", "
                        + "\"checks\": [{\"name\": \"kernel\", \"verdict\": \"ok\", \"reason\": \"")
                .contains("{\"name\": \"speed\", \"verdict\": \"fixable\", \"reason\": \"ksmd scans no pages: ")
                .hasLineCount(1);
    }

    /** Hides files as container runtimes do. */
    @EnabledIfRoot
    @Test
    void hiddenFilesMakeTheVerdictUnknown(RunningKsmd ksmd) {
        EndedProcess doctor = KsmProcess.run(
                List.of(
                        "unshare",
                        "--mount",
                        "sh",
                        "-c",
                        "mount --bind /dev/null /sys/kernel/mm/ksm/run && exec \"$@\"",
                        "sh"),
                "doctor",
                "--json");

        assertThat(doctor.exitStatus()).as(doctor.errors()).isEqualTo(4);
        assertThat(doctor.output()).startsWith("{\"canMerge\": null, \"verdict\": \"unknown\", ");
    }

    @Test
    void missingRightsAreReportedWithTheUserWhoHasThem(RunningKsmd ksmd, @TempDir Path directory) throws IOException {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));

        EndedProcess doctor = EndedProcess.run(KsmProcess.commandOfNobody(directory, "doctor"));

        assertThat(doctor.exitStatus()).as(doctor.output() + doctor.errors()).isZero();
        assertThat(doctor.output()).containsPattern("warning  rights .*\n +-> run ksm tune as root");
        assertThat(doctor.errors()).isEmpty();
    }

    @Test
    void theLimitOfItsCgroupIsNamed(RunningKsmd ksmd) throws IOException {
        try (MemoryCgroup cgroup = MemoryCgroup.create()) {
            cgroup.limitTo(700 << 20);

            EndedProcess doctor = KsmProcess.run(cgroup.commandPrefix(), "doctor");

            assertThat(doctor.output())
                    .containsPattern(
                            "ok       memory-limit .* of the 700.0 MiB that " + cgroup.directory() + "/memory");
        }
    }

    @Test
    void aSeccompFilterThatForbidsTheAdviceIsFound(RunningKsmd ksmd) {
        ChildJvm doctor = ChildJvm.run(ForbiddenAdvice.class, List.of());

        assertThat(doctor.exitStatus()).isEqualTo(1);
        assertThat(doctor.output())
                .containsPattern("failed   advice .*EPERM.*; this process has a seccomp filter\n +-> allow madvise");
    }

    static final class ForbiddenAdvice {

        private ForbiddenAdvice() {}

        public static void main(String[] arguments) throws ReflectiveOperationException {
            new SeccompFilter()
                    .answer(EPERM, SeccompFilter.MADVISE, 2, MADV_MERGEABLE)
                    .install(TestedBackends.open("ffm"));
            Method main = Class.forName("io.ksm4j.tools.KsmCommand").getMethod("main", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) new String[] {"doctor"});
        }
    }
}
