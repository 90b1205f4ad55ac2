// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.testsupport.RunningJvm;
import java.security.SecureRandom;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Equal data in blocks of {@code malloc} in two JVMs, and what {@code ksm} says about it. */
@EnabledIfKsm(control = true)
class MallocArenasTest {

    private static final String ADVICE = "start it with MALLOC_MMAP_THRESHOLD_=131072";

    private final String seed = Long.toString(new SecureRandom().nextLong());

    private RunningJvm start(String variable, int otherSeed) {
        return RunningJvm.start(
                List.of("env", variable), List.of("-Xmx64m"), NativeBlocks.class, seed, Integer.toString(otherSeed));
    }

    @Test
    void equalBlocksInArenasDoNotMergeAndStatusSaysWhatToDo(RunningKsmd ksmd) {
        try (RunningJvm one = start("UNRELATED=1", 1);
                RunningJvm other = start("UNRELATED=1", 2)) {
            one.awaitLine("ready");
            other.awaitLine("ready");
            ksmd.awaitFullScans(4);
            String pid = Long.toString(one.pid());

            assertThat(KsmProcess.run("status", pid).output())
                    .containsPattern("\nmalloc +\\S+ MiB in arenas.*\n +-> .*" + Pattern.quote(ADVICE) + ".*\n$");
            String json = KsmProcess.run("status", "--json", pid).output();
            assertThat(json).contains("\"isThresholdFixed\": false");
            assertThat(number(json, "arenaBytes")).isGreaterThanOrEqualTo(NativeBlocks.SIZE);
            assertThat(number(json, "arenaMergedBytes")).isLessThan(NativeBlocks.SIZE / 10);
        }
    }

    @Test
    void equalBlocksMergeIfTheThresholdIsFixed(RunningKsmd ksmd) {
        String variable = "MALLOC_MMAP_THRESHOLD_=131072";
        try (RunningJvm one = start(variable, 1);
                RunningJvm other = start(variable, 2)) {
            one.awaitLine("ready");
            other.awaitLine("ready");
            await().atMost(PATIENCE)
                    .until(() -> ProcessKsmStats.read(one.pid()).mergedBytes().orElse(0) > NativeBlocks.SIZE * 9L / 10);
            String pid = Long.toString(one.pid());

            assertThat(KsmProcess.run("status", pid).output())
                    .contains("\nmalloc ")
                    .doesNotContain(ADVICE);
            assertThat(KsmProcess.run("status", "--json", pid).output()).contains("\"isThresholdFixed\": true");
        }
    }

    @Test
    void theDoctorExaminesItsEnvironment(RunningKsmd ksmd) {
        assertThat(KsmProcess.run(List.of("env", "MALLOC_MMAP_THRESHOLD_=131072"), "doctor")
                        .output())
                .contains("ok       malloc ");
        assertThat(KsmProcess.run(List.of("env", "-u", "MALLOC_MMAP_THRESHOLD_"), "doctor")
                        .output())
                .containsPattern("warning  malloc .*\n +-> .*MALLOC_MMAP_THRESHOLD_=131072");
    }

    private static long number(String json, String name) {
        Matcher number = Pattern.compile("\"" + name + "\": (\\d+)").matcher(json);
        assertThat(number.find()).as(json).isTrue();
        return Long.parseLong(number.group(1));
    }
}
