// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.Log;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Does something at fixed pauses on a daemon thread. A failure is logged, and does not end the repetition. A failure
 * like the last one is not logged again.
 */
final class RepeatedTask {

    private final CountDownLatch stopped = new CountDownLatch(1);
    private final long pauseNanos;
    private final Runnable action;
    private final Thread thread;

    RepeatedTask(String name, Duration pause, Runnable action) {
        this.pauseNanos = TimeUnit.NANOSECONDS.convert(pause);
        this.action = action;
        this.thread = new Thread(this::run, name);
        thread.setDaemon(true);
        thread.setContextClassLoader(ClassLoader.getSystemClassLoader());
    }

    void start() {
        thread.start();
    }

    /** Lets the thread end after what it is doing. Does not wait for it. */
    void stop() {
        stopped.countDown();
    }

    private void run() {
        String last = "";
        try {
            while (!stopped.await(pauseNanos, TimeUnit.NANOSECONDS)) {
                try {
                    action.run();
                    last = "";
                } catch (RuntimeException | Error e) {
                    if (stopped.getCount() > 0 && !e.toString().equals(last)) {
                        last = e.toString();
                        Log.warning(thread.getName() + " goes on after a failure", e);
                    }
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
