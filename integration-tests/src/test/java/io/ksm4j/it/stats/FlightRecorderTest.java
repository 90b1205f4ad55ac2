// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.stats;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MarkNotTakenException;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.KernelFiles;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jdk.jfr.EventType;
import jdk.jfr.FlightRecorder;
import jdk.jfr.Recording;
import jdk.jfr.RecordingState;
import jdk.jfr.ValueDescriptor;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Java Flight Recorder records the changes of regions, and the kernel's numbers unchanged. */
@EnabledIfKsm
class FlightRecorderTest {

    private static final List<String> CHANGES = List.of("io.ksm4j.Mark", "io.ksm4j.Unmark", "io.ksm4j.Leak");

    private static final List<String> STATISTICS =
            List.of("io.ksm4j.KernelStatistics", "io.ksm4j.ProcessStatistics", "io.ksm4j.RegistryStatistics");

    private static final RegionOptions SHOWN = RegionOptions.DEFAULT.withName("recorded");

    private final Ksm ksm = Ksm.system();

    @TempDir
    private Path directory;

    @BeforeEach
    void awaitStatistics() {
        ksm.allocate(1).close();
        await().until(() -> FlightRecorder.getFlightRecorder().getEventTypes().stream()
                        .map(EventType::getName)
                        .toList()
                        .containsAll(STATISTICS)
                && Thread.getAllStackTraces().keySet().stream()
                        .noneMatch(thread -> thread.getName().equals("ksm4j-jfr")));
    }

    // ---- Changes of regions

    @Test
    void markingAWholeRegionIsRecorded() throws IOException {
        try (Recording recording = record(CHANGES);
                MergeRegion region = ksm.allocate(64 << 10, SHOWN)) {
            region.markUnmergeable();
            List<RecordedEvent> events = eventsOf(recording);

            assertThat(events).extracting(FlightRecorderTest::name).containsExactly("io.ksm4j.Mark", "io.ksm4j.Unmark");
            assertThat(events).allSatisfy(event -> {
                assertThat(event.getLong("address")).isEqualTo(region.address());
                assertThat(event.getLong("bytes")).isEqualTo(region.size());
                assertThat(event.getString("owner")).isEqualTo("recorded");
                assertThat(event.getString("failure")).isNull();
                assertThat(event.getDuration()).isPositive();
                assertThat(event.getStackTrace().getFrames())
                        .extracting(frame -> frame.getMethod().getName())
                        .contains("markingAWholeRegionIsRecorded");
                assertThat(event.getEventType().getCategoryNames()).containsExactly("ksm4j");
            });
        }
    }

    @Test
    void everyPartOfEveryRegionIsRecorded() throws IOException {
        long page = ksm.pageSize();
        try (MergeRegion left = ksm.allocate(4 * page, SHOWN);
                MergeRegion right = ksm.allocate(4 * page, SHOWN);
                MergeRegion overlapping = ksm.adopt(right.address(), 2 * page, SHOWN);
                Recording recording = record(CHANGES)) {
            left.markUnmergeable(page, 2 * page);
            overlapping.markUnmergeable();
            ksm.markMergeable(List.of(left, right));

            assertThat(eventsOf(recording))
                    .extracting(
                            FlightRecorderTest::name,
                            event -> event.getLong("address"),
                            event -> event.getLong("bytes"))
                    .containsExactly(
                            tuple("io.ksm4j.Unmark", left.address() + page, 2 * page),
                            tuple("io.ksm4j.Unmark", right.address(), 2 * page),
                            tuple("io.ksm4j.Mark", left.address(), 4 * page),
                            tuple("io.ksm4j.Mark", right.address(), 4 * page));
        }
    }

    @Test
    void aFailedMarkIsRecordedWithItsReason() throws IOException {
        try (Arena arena = Arena.ofShared();
                FileChannel file = FileChannel.open(
                        Files.write(directory.resolve("shared"), new byte[1 << 16]),
                        StandardOpenOption.READ,
                        StandardOpenOption.WRITE);
                Recording recording = record(CHANGES)) {
            MemorySegment shared = file.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 16, arena);
            assertThatThrownBy(() -> ksm.adopt(shared.address(), 1 << 16, SHOWN))
                    .isInstanceOf(MarkNotTakenException.class);
            MergeRegion closed = ksm.allocate(1, SHOWN);
            closed.close();
            assertThatThrownBy(closed::markUnmergeable).isInstanceOf(IllegalStateException.class);

            List<RecordedEvent> events = eventsOf(recording);
            assertThat(events).hasSize(3);
            assertThat(events.get(0).getString("failure")).contains("MarkNotTakenException", "did not mark");
            assertThat(events.get(0).getLong("address")).isEqualTo(shared.address());
            assertThat(events.get(1).getString("failure")).isNull();
            assertThat(events.get(2).getString("failure")).contains("is closed");
            assertThat(name(events.get(2))).isEqualTo("io.ksm4j.Unmark");
        }
    }

    @Test
    void aForgottenRegionIsRecordedOnce() throws IOException {
        try (Recording recording = record(CHANGES)) {
            long leaks = ksm.registry().leaks();
            long address = forgetOne();
            await().untilAsserted(() -> {
                System.gc();
                assertThat(ksm.registry().leaks()).isGreaterThan(leaks);
                assertThat(ksm.registry().isMergeable(address)).isFalse();
            });
            await().untilAsserted(() -> assertThat(leaksIn(recording))
                    .singleElement()
                    .satisfies(event -> {
                        assertThat(event.getLong("address")).isEqualTo(address);
                        assertThat(event.getLong("bytes")).isEqualTo(64 << 10);
                        assertThat(event.getString("owner")).isEqualTo("recorded");
                    }));
        }
    }

    private long forgetOne() {
        return ksm.allocate(64 << 10, SHOWN).address();
    }

    private List<RecordedEvent> leaksIn(Recording running) throws IOException {
        try (Recording copy = running.copy(true)) {
            return eventsOf(copy).stream()
                    .filter(event -> name(event).equals("io.ksm4j.Leak"))
                    .toList();
        }
    }

    @Test
    void nothingIsRecordedWhenDisabled() throws IOException {
        try (Recording recording = record(List.of());
                MergeRegion region = ksm.allocate(1, SHOWN)) {
            region.markUnmergeable();
            ksm.markMergeable(List.of(region));
            assertThat(eventsOf(recording)).isEmpty();
        }
    }

    // ---- Statistics

    @Test
    @EnabledIfKsm(control = true)
    void statisticsMatchTheKernelsFilesAndTheRegistry(RunningKsmd ksmd) {
        try (MergeRegion region = ksm.allocate(1 << 20, SHOWN)) {
            new PageContents(System.nanoTime(), ksm.pageSize()).fill(region.buffer(), page -> page % 4);
            ksmd.awaitFullScans(3);
            ksmd.set(KsmSetting.RUN, 0);

            // Repeated if another process has changed the counters between the two readings.
            await().untilAsserted(() -> {
                Map<String, Map<String, Long>> recorded = statistics();
                assertThat(recorded.get("io.ksm4j.KernelStatistics"))
                        .isEqualTo(kernelNumbers())
                        .hasEntrySatisfying(
                                "pagesSharing", pages -> assertThat(pages).isPositive());
                assertThat(recorded.get("io.ksm4j.ProcessStatistics"))
                        .isEqualTo(processNumbers())
                        .hasEntrySatisfying(
                                "mergingPages", pages -> assertThat(pages).isGreaterThanOrEqualTo(256));
                MergeRegistry registry = ksm.registry();
                assertThat(recorded.get("io.ksm4j.RegistryStatistics"))
                        .isEqualTo(Map.of(
                                "openRegions", registry.openRegions(),
                                "mergeableBytes", registry.mergeableBytes(),
                                "leaks", registry.leaks()));
            });
        }
    }

    private Map<String, Long> kernelNumbers() {
        Map<String, Long> numbers = new TreeMap<>();
        for (String file : List.of(
                "run",
                "pages_to_scan",
                "sleep_millisecs",
                "pages_shared",
                "pages_sharing",
                "pages_unshared",
                "pages_volatile",
                "ksm_zero_pages",
                "pages_scanned",
                "pages_skipped",
                "full_scans",
                "stable_node_chains",
                "stable_node_dups",
                "general_profit")) {
            numbers.put(camelCase(file), KernelFiles.kernel(file));
        }
        numbers.put("cowKsm", KernelFiles.vmstat("cow_ksm"));
        numbers.put("ksmSwpinCopy", KernelFiles.vmstat("ksm_swpin_copy"));
        numbers.put("savedBytes", (numbers.get("pagesSharing") + numbers.get("ksmZeroPages")) * ksm.pageSize());
        numbers.put("usedBytes", numbers.get("pagesShared") * ksm.pageSize());
        numbers.put("profitBytes", numbers.get("generalProfit"));
        return numbers;
    }

    private Map<String, Long> processNumbers() {
        long merging = Long.parseLong(KernelFiles.process("ksm_merging_pages"));
        long zero = Long.parseLong(KernelFiles.process("ksm_zero_pages"));
        long profit = Long.parseLong(KernelFiles.process("ksm_process_profit"));
        return Map.of(
                "rmapItems", Long.parseLong(KernelFiles.process("ksm_rmap_items")),
                "mergingPages", merging,
                "zeroPages", zero,
                "mergedBytes", (merging + zero) * ksm.pageSize(),
                "processProfit", profit,
                "profitBytes", profit);
    }

    /** Returns the numbers of the three events, each of which must be recorded once. */
    private Map<String, Map<String, Long>> statistics() throws IOException {
        try (Recording recording = record(List.of())) {
            STATISTICS.forEach(name -> recording.enable(name).with("period", "endChunk"));
            List<RecordedEvent> events = eventsOf(recording);
            assertThat(events).extracting(FlightRecorderTest::name).containsExactlyInAnyOrderElementsOf(STATISTICS);
            return events.stream().collect(Collectors.toMap(FlightRecorderTest::name, FlightRecorderTest::numbers));
        }
    }

    @Test
    void theDefaultPeriodOfStatisticsIsTenSeconds() {
        assertThat(FlightRecorder.getFlightRecorder().getEventTypes())
                .filteredOn(type -> STATISTICS.contains(type.getName()))
                .hasSize(3)
                .allSatisfy(type -> assertThat(type.getSettingDescriptors())
                        .filteredOn(setting -> setting.getName().equals("period"))
                        .singleElement()
                        .satisfies(
                                period -> assertThat(period.getDefaultValue()).isEqualTo("10 s")));
    }

    // ---- Recordings

    private static Recording record(List<String> names) {
        Recording recording = new Recording();
        CHANGES.forEach(recording::disable);
        STATISTICS.forEach(recording::disable);
        names.forEach(recording::enable);
        recording.start();
        return recording;
    }

    /** Ends the recording, and returns ksm4j's events. */
    private List<RecordedEvent> eventsOf(Recording recording) throws IOException {
        if (recording.getState() == RecordingState.RUNNING) {
            recording.stop();
        }
        Path file = Files.createTempFile(directory, "recording", ".jfr");
        recording.dump(file);
        return RecordingFile.readAllEvents(file).stream()
                .filter(event -> name(event).startsWith("io.ksm4j."))
                .toList();
    }

    private static String name(RecordedEvent event) {
        return event.getEventType().getName();
    }

    private static Map<String, Long> numbers(RecordedEvent event) {
        return event.getFields().stream()
                .map(ValueDescriptor::getName)
                .filter(field -> !List.of("startTime", "duration", "eventThread", "stackTrace")
                        .contains(field))
                .collect(Collectors.toMap(Function.identity(), event::getLong));
    }

    private static String camelCase(String file) {
        return Pattern.compile("_(.)")
                .matcher(file)
                .replaceAll(letter -> letter.group(1).toUpperCase(Locale.ROOT));
    }
}
