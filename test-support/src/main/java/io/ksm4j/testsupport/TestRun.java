// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import static io.ksm4j.testsupport.Patience.PATIENCE;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.platform.launcher.LauncherSession;
import org.junit.platform.launcher.LauncherSessionListener;

/** Sets up the JVM that runs the tests, and cleans up when it exits. */
public final class TestRun implements LauncherSessionListener {

    /** How long child processes may take to restore settings when the run is interrupted. */
    private static final Duration CLEANUP = Duration.ofSeconds(20);

    @Override
    public void launcherSessionOpened(LauncherSession session) {
        Awaitility.setDefaultTimeout(PATIENCE);
        Runtime.getRuntime().addShutdownHook(new Thread(TestRun::endChildren, "end children"));
    }

    private static void endChildren() {
        List<ProcessHandle> children = ProcessHandle.current().descendants().toList();
        children.forEach(ProcessHandle::destroy);
        CompletableFuture.allOf(children.stream().map(ProcessHandle::onExit).toArray(CompletableFuture[]::new))
                .completeOnTimeout(null, CLEANUP.toSeconds(), TimeUnit.SECONDS)
                .join();
        children.forEach(ProcessHandle::destroyForcibly);
    }
}
