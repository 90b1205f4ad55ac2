// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.testsupport.MemoryCgroup;
import io.ksm4j.testsupport.PageContents;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Records the kernel's files under a known load, as a tree below {@code /tmp/recording}. Each file is as the kernel
 * wrote it; {@code proc/1} is this process.
 *
 * <p>This process has marked 4096 pages with 64 contents, 1000 unique pages, 200 zero-filled pages, and 100 pages it
 * keeps writing. {@code use_zero_pages} and {@code smart_scan} are 1 where the kernel has them, {@code pages_to_scan}
 * is 1000000, and {@code sleep_millisecs} is 20. {@code ksmd} has made seven full scans. No scan ended between the
 * first file and the last.
 */
@OnlyIn(Situation.PLAIN)
@EnabledIfKsm(control = true)
final class Recording {

    private static final Path RECORDING = Path.of("/tmp/recording");

    private static final int EQUAL = 4096;
    private static final int CONTENTS = 64;
    private static final int UNIQUE = 1000;
    private static final int ZEROS = 200;
    private static final int CHANGING = 100;

    private final Ksm ksm = Backend.ksm();
    private final long page = ksm.pageSize();
    private final PageContents content = PageContents.unique(ksm.pageSize());

    @Test
    void theFilesOfTheKernelAreRecorded(RunningKsmd ksmd) throws Exception {
        KsmSettings settings = KsmSettings.EMPTY
                .with(KsmSetting.USE_ZERO_PAGES, 1)
                .with(KsmSetting.SMART_SCAN, 1)
                .with(KsmSetting.SLEEP_MILLISECS, 20)
                .presentIn(KsmDaemon.system().settings());
        settings.values().forEach(ksmd::set);
        AtomicBoolean done = new AtomicBoolean();
        try (MemoryCgroup cgroup = MemoryCgroup.create()) {
            cgroup.limitTo(1L << 30);
            cgroup.write("cgroup.procs", Long.toString(ProcessHandle.current().pid()));
            try (MergeRegion equal = ksm.allocate(EQUAL * page, Merging.SMALL_PAGES);
                    MergeRegion unique = ksm.allocate(UNIQUE * page, Merging.SMALL_PAGES);
                    MergeRegion zeros = ksm.allocate(ZEROS * page, Merging.SMALL_PAGES);
                    MergeRegion changing = ksm.allocate(CHANGING * page, Merging.SMALL_PAGES)) {
                content.fill(equal.buffer(), i -> i % CONTENTS);
                content.fill(unique.buffer(), i -> 1_000_000 + i);
                zeros.buffer().put(new byte[(int) zeros.size()]);
                content.fill(changing.buffer(), i -> 2_000_000 + i);
                ByteBuffer words = changing.buffer();
                Thread writer = new Thread(() -> {
                    for (long round = 0; !done.get(); round++) {
                        for (int i = 0; i < CHANGING; i++) {
                            words.putLong(i * (int) page, round);
                        }
                    }
                });
                writer.start();
                try {
                    ksmd.awaitFullScans(7);
                    List<MergeRegion> regions = List.of(equal, unique, zeros, changing);
                    await().atMost(PATIENCE).until(() -> record(cgroup, regions));
                } finally {
                    done.set(true);
                    writer.join();
                }
            } finally {
                // The group must be empty before it is removed.
                Files.writeString(
                        Path.of("/sys/fs/cgroup/cgroup.procs"),
                        Long.toString(ProcessHandle.current().pid()));
            }
        }
        KsmStats machine = KsmStats.read(RECORDING, page);
        assertThat(machine.pagesShared().getAsLong()).isGreaterThanOrEqualTo(CONTENTS);
        assertThat(machine.pagesSharing().getAsLong()).isGreaterThanOrEqualTo(EQUAL - CONTENTS);
        assertThat(ProcessKsmStats.read(RECORDING, 1, page).mergingPages())
                .isEqualTo(Merging.ifReported(Feature.MERGING_PAGES, EQUAL));
    }

    /** Returns whether no scan ended between the first file and the last. */
    private boolean record(MemoryCgroup cgroup, List<MergeRegion> regions) {
        Map<String, byte[]> files = new TreeMap<>();
        files.put("proc/sys/kernel/osrelease", read(Path.of("/proc/sys/kernel/osrelease")));
        files.put("proc/self/cgroup", read(Path.of("/proc/self/cgroup")));
        for (String file : List.of("memory.max", "memory.current", "memory.stat")) {
            Path path = cgroup.directory().resolve(file);
            files.put(path.toString().substring(1), read(path));
        }
        files.put("proc/1/smaps", smaps(regions));
        Map<String, byte[]> counters = counters();
        files.putAll(counters);
        Map<String, byte[]> again = counters();
        for (String counter : List.of("full_scans", "pages_shared", "pages_sharing", "pages_unshared")) {
            String file = "sys/kernel/mm/ksm/" + counter;
            if (!Arrays.equals(counters.get(file), again.get(file))) {
                return false;
            }
        }
        files.forEach(Recording::write);
        KsmStats machine = KsmStats.read(RECORDING, page);
        ProcessKsmStats process = ProcessKsmStats.read(RECORDING, 1, page);
        return (machine.generalProfit().isEmpty() || machine.generalProfit().equals(machine.profitBytes()))
                && (process.processProfit().isEmpty() || process.processProfit().equals(process.profitBytes()))
                && process.mergingPages().orElse(EQUAL) == EQUAL;
    }

    private static Map<String, byte[]> counters() {
        Map<String, byte[]> files = new TreeMap<>();
        try (Stream<Path> settings = Files.list(KernelFiles.KSM)) {
            for (Path file : settings.toList()) {
                files.put(file.toString().substring(1), read(file));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        for (String file : List.of("ksm_stat", "ksm_merging_pages")) {
            Path path = Path.of("/proc/self", file);
            if (Files.exists(path)) {
                files.put("proc/1/" + file, read(path));
            }
        }
        files.put("proc/vmstat", read(Path.of("/proc/vmstat")));
        return files;
    }

    /** Reads a file in one call where possible, since some files of the kernel return nothing to a second call. */
    private static byte[] read(Path file) {
        try (InputStream input = new FileInputStream(file.toFile())) {
            byte[] buffer = new byte[1 << 16];
            int length = input.readNBytes(buffer, 0, buffer.length);
            return Arrays.copyOf(buffer, length);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns the lines of the mappings of these regions. */
    private static byte[] smaps(List<MergeRegion> regions) {
        List<String> lines = new ArrayList<>();
        boolean isWanted = false;
        for (String line : KernelFiles.text(Path.of("/proc/self/smaps")).split("(?<=\n)", 0)) {
            if (!Character.isUpperCase(line.charAt(0))) {
                isWanted =
                        regions.stream().anyMatch(region -> line.startsWith(Long.toHexString(region.address()) + "-"));
            }
            if (isWanted) {
                lines.add(line);
            }
        }
        return String.join("", lines).getBytes(StandardCharsets.ISO_8859_1);
    }

    private static void write(String file, byte[] bytes) {
        try {
            Path path = RECORDING.resolve(file);
            Files.createDirectories(path.getParent());
            Files.write(path, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
