package io.ksm4j.internal.linux;

import java.nio.file.Files;
import java.nio.file.Path;

/** Tells without native code what the kernel was built with. */
public final class KernelConfig {

    private KernelConfig() {}

    /**
     * Whether this kernel has KSM, as its files show.
     *
     * @return false, too, where a container hides the files
     */
    public static boolean hasKsm() {
        return "Linux".equals(System.getProperty("os.name"))
                && (Files.exists(Path.of("/sys/kernel/mm/ksm"))
                        || Files.exists(Path.of("/proc/self/ksm_merging_pages")));
    }
}
