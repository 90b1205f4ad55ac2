package io.ksm4j.it;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** What tests ask of the machine and of who runs them. */
final class Machine {

    private Machine() {}

    static boolean isRoot() throws IOException {
        return Files.getAttribute(Path.of("/proc/self"), "unix:uid").equals(0);
    }

    /** A container may hide what the kernel tells of KSM, and memory can be marked there all the same. */
    static boolean showsKsm() {
        return Files.isReadable(Path.of("/sys/kernel/mm/ksm/run"));
    }

    /** {@code vm.max_map_count}. */
    static long maxMapCount() throws IOException {
        // Not Files.readString: it reads the first byte alone, and /proc/sys answers one read only.
        try (BufferedReader reader = Files.newBufferedReader(Path.of("/proc/sys/vm/max_map_count"))) {
            return Long.parseLong(reader.readLine().strip());
        }
    }
}
