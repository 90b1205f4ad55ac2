package io.ksm4j.kernels;

import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.abort;

import java.time.Duration;
import org.awaitility.core.ConditionTimeoutException;

/**
 * What is merged on the whole machine. In a guest nobody merges but the tests.
 *
 * @param shared {@code pages_shared}: pages that others share
 * @param sharing {@code pages_sharing}: how many more places use them
 */
record Sharing(long shared, long sharing) {

    static Sharing now() {
        return new Sharing(KernelFiles.counter("pages_shared"), KernelFiles.counter("pages_sharing"));
    }

    static Sharing since(Sharing before) {
        Sharing now = now();
        return new Sharing(now.shared - before.shared, now.sharing - before.sharing);
    }

    /** Pages that are gone are counted until ksmd comes by, which runs. Skips the test where others have merged pages. */
    static void awaitNone() {
        try {
            await().atMost(Duration.ofSeconds(20)).until(() -> now().equals(new Sharing(0, 0)));
        } catch (ConditionTimeoutException e) {
            abort("other processes have merged pages");
        }
    }
}
