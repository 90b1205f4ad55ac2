// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.attach;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.tools.output.CommandFailedException;
import java.io.File;
import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;

class TargetJvmTest {

    private static final long SELF = ProcessHandle.current().pid();

    /** Its process would get the signal unexpectedly and print its stacks. */
    @Test
    void rejectsAThreadOfAJvm() {
        long thread = Arrays.stream(new File("/proc/self/task").list())
                .mapToLong(Long::parseLong)
                .filter(id -> id != SELF)
                .findFirst()
                .orElseThrow();

        assertThatThrownBy(() -> TargetJvm.attach(thread))
                .isInstanceOf(CommandFailedException.class)
                .hasMessage(thread + " is a thread: specify its process, " + SELF);
    }

    @Test
    void givesUpOnAFrozenJvmAndLeavesOnlyADaemonThread() {
        CountDownLatch never = new CountDownLatch(1);
        AtomicBoolean daemon = new AtomicBoolean();

        assertThatThrownBy(() -> TargetJvm.within(Duration.ofMillis(100), SELF, () -> {
                    daemon.set(Thread.currentThread().isDaemon());
                    try {
                        never.await();
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                    return never;
                }))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageStartingWith("JVM " + SELF + " did not answer within ");
        assertThat(daemon).isTrue();
    }

    @Test
    void reportsTheActionsOwnFailure() {
        CommandFailedException failure = new CommandFailedException("it is too old: update it");

        assertThatThrownBy(() -> TargetJvm.within(PATIENCE, SELF, () -> {
                    throw failure;
                }))
                .isSameAs(failure);
        assertThat(TargetJvm.within(PATIENCE, SELF, () -> "done")).isEqualTo("done");
    }
}
