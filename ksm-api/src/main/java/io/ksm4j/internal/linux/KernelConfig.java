// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.nio.file.Files;
import java.nio.file.Path;

/** Detects kernel features without native code. */
public final class KernelConfig {

    private KernelConfig() {}

    /**
     * Returns whether this kernel has KSM, according to its files.
     *
     * @return false also if a container hides the files
     */
    public static boolean hasKsm() {
        return "Linux".equals(System.getProperty("os.name"))
                && (Files.exists(Path.of("/sys/kernel/mm/ksm"))
                        || Files.exists(Path.of("/proc/self/ksm_merging_pages")));
    }
}
