// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class ClassPreloaderTest {

    private final ScriptedBackend backend = new ScriptedBackend();

    @Test
    void runsAllStepsAndLeavesNothingMapped() {
        new ClassPreloader(new Kernel(backend)).work();

        List<String> mapped = backend.calls("mmap");
        List<String> unmapped = backend.calls("munmap");
        assertThat(unmapped).hasSameSizeAs(mapped);
        String all = unmapped.get(0).substring("munmap ".length());
        String middle = backend.calls("madvise 12").get(0).substring("madvise 12 ".length());
        String[] outer = all.split("-", 2);
        String[] inner = middle.split("-", 2);
        assertThat(backend.calls)
                .containsSubsequence(
                        "madvise 12 " + all,
                        // In two ranges, since another region wants what lies between them.
                        "madvise 13 " + outer[0] + "-" + inner[0],
                        "madvise 13 " + inner[1] + "-" + outer[1],
                        "madvise 13 " + middle,
                        "munmap " + all);
    }
}
