// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.abort;

import java.time.Duration;
import org.awaitility.core.ConditionTimeoutException;

/**
 * The merged pages of the whole machine. In a guest, only the tests merge pages.
 *
 * @param shared {@code pages_shared}: the shared pages in use
 * @param sharing {@code pages_sharing}: the number of further users of these pages
 */
record Sharing(long shared, long sharing) {

    static Sharing now() {
        return new Sharing(KernelFiles.counter("pages_shared"), KernelFiles.counter("pages_sharing"));
    }

    static Sharing since(Sharing before) {
        Sharing now = now();
        return new Sharing(now.shared - before.shared, now.sharing - before.sharing);
    }

    /**
     * Waits until ksmd, which must run, no longer counts freed pages. Skips the test if other processes have merged
     * pages.
     */
    static void awaitNone() {
        try {
            await().atMost(Duration.ofSeconds(20)).until(() -> now().equals(new Sharing(0, 0)));
        } catch (ConditionTimeoutException e) {
            abort("other processes have merged pages");
        }
    }
}
