// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * How {@code /proc} is mounted, and therefore what it shows to this process (proc(5)).
 *
 * @param hidesOthers whether processes of other users are not listed: {@code hidepid} is 2 or 4, and this user is not
 *     exempt
 * @param showsProcessesAlone whether files about the machine are missing: {@code subset=pid}
 */
public record ProcMount(boolean hidesOthers, boolean showsProcessesAlone) {

    private static final int CAP_SYS_PTRACE = 19;

    /**
     * Reads the mount options below a directory that stands for {@code /}. If they cannot be read, assumes that nothing
     * is hidden.
     */
    public static ProcMount read(Path root) {
        try {
            Path self = root.resolve("proc/self");
            List<String> options = options(Files.readString(self.resolve("mountinfo"), StandardCharsets.ISO_8859_1));
            boolean hides = isSet(options, "hidepid", "2", "invisible", "4", "ptraceable");
            return new ProcMount(
                    hides && !isExempt(options, ProcessStatus.read(self)), isSet(options, "subset", "pid"));
        } catch (IOException e) {
            return new ProcMount(false, false);
        }
    }

    /**
     * Returns the file system's options of the last mount, which follow {@code - TYPE SOURCE} (proc_pid_mountinfo(5)).
     */
    private static List<String> options(String mountinfo) {
        List<String> options = List.of();
        for (String line : mountinfo.split("\n", -1)) {
            String[] words = line.split(" ", -1);
            int separator = Arrays.asList(words).indexOf("-");
            if (words.length > 4 && words[4].equals("/proc") && separator > 0 && separator + 3 < words.length) {
                options = List.of(words[separator + 3].split(",", -1));
            }
        }
        return options;
    }

    private static boolean isSet(List<String> options, String name, String... values) {
        return Stream.of(values).anyMatch(value -> options.contains(name + "=" + value));
    }

    private static boolean isExempt(List<String> options, ProcessStatus status) throws IOException {
        if ((Long.parseUnsignedLong(status.field("CapEff"), 16) & (1L << CAP_SYS_PTRACE)) != 0) {
            return true;
        }
        Optional<String> group = options.stream()
                .filter(option -> option.startsWith("gid="))
                .map(option -> option.substring("gid=".length()))
                .findFirst();
        List<String> own = List.of((status.field("Gid") + " " + status.field("Groups")).split("\\s+", -1));
        return group.isPresent() && own.contains(group.get()) && !isSet(options, "hidepid", "4", "ptraceable");
    }
}
