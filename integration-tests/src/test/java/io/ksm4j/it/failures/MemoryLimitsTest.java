// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.it.fixtures.Machine;
import io.ksm4j.junit.EnabledIfKsm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** Allocations that a limit of the process forbids. */
@Aside
@EnabledIfKsm
class MemoryLimitsTest {

    private static final long MIB = 1 << 20;

    /** The bytes that a JVM may need while all of its mappings are locked. */
    private static final long LEAST_LOCKED = 4 * MIB;

    private static final Pattern HARD_LIMIT = Pattern.compile("Max locked memory +\\w+ +(\\w+)");

    @Test
    void limitsOfTheProcessAreReported() throws IOException {
        long locked = lockable();
        List<String> prefix = new ArrayList<>(List.of(
                "prlimit",
                "--as=" + ExceededLimits.ADDRESS_SPACE,
                "--data=" + ExceededLimits.DATA,
                "--memlock=" + locked));
        if (Machine.isRoot()) {
            // A user with the right to lock memory has no limit.
            prefix.addAll(List.of("setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"));
        }
        ChildJvm child = ChildJvm.run(
                prefix,
                ExceededLimits.class,
                List.of("-Xms64m", "-Xmx64m", "-Dio.ksm4j.backend=ffm"),
                Long.toString(locked < LEAST_LOCKED ? 0 : locked));
        child.assertEndedWell();
        assertThat(child.output()).contains("process: done");
        if (locked >= LEAST_LOCKED) {
            assertThat(child.output()).contains("locked: done");
        }
    }

    /** Every user can lower a limit; few may raise it. */
    private static long lockable() throws IOException {
        String hard = HARD_LIMIT
                .matcher(Files.readString(Path.of("/proc/self/limits")))
                .results()
                .map((MatchResult line) -> line.group(1))
                .findFirst()
                .orElseThrow();
        return hard.equals("unlimited") ? 64 * MIB : Math.min(64 * MIB, Long.parseLong(hard));
    }
}
