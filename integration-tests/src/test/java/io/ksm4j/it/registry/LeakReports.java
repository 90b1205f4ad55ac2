// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/** The child JVMs of {@link LeakReportTest}. */
final class LeakReports extends Handler {

    private static final long SIZE = 64L << 10;
    private static final Logger LOGGER = Logger.getLogger("io.ksm4j");

    private final Ksm ksm = Ksm.system();
    private final Queue<LogRecord> reports = new ConcurrentLinkedQueue<>();

    /** The exception that logging throws, if set. */
    private volatile Throwable failure;

    public static void main(String[] arguments) {
        LeakReports test = new LeakReports();
        LOGGER.setUseParentHandlers(false);
        LOGGER.addHandler(test);
        test.closedRegionsAreNotReported();
        test.forgottenAllocatedRegionIsReclaimedAndReportedOnce();
        test.forgottenAdoptedRegionLosesItsMarkAndLetsGoOfTheBuffer();
        test.forgottenRegionsAreReclaimedThoughTheLogThrows();
    }

    private void closedRegionsAreNotReported() {
        openAndClose();
        // The cleaner has no defined order, but by now it could have processed the closed regions.
        collectTwice();
        assertThat(reports).isEmpty();
        assertThat(ksm.registry().leaks()).isZero();
    }

    private void openAndClose() {
        try (MergeRegion allocated = ksm.allocate(SIZE);
                MergeRegion adopted = ksm.adopt(ByteBuffer.allocateDirect(1 << 20))) {
            assertThat(allocated.buffer().getLong(0)).isZero();
            assertThat(adopted.isMergeable()).isTrue();
        }
    }

    private void forgottenAllocatedRegionIsReclaimedAndReportedOnce() {
        long address = openAndForget();
        awaitReports(1);
        collectTwice();
        assertReported(1, "allocated", "openAndForget");
        assertThat(ksm.registry().openRegions()).isZero();
        assertThat(ksm.registry().isMergeable(address)).isFalse();
        assertThat(mapped(address)).isFalse();
    }

    private long openAndForget() {
        MergeRegion region = ksm.allocate(SIZE, RegionOptions.DEFAULT.withName("allocated"));
        region.buffer().putLong(0, 1);
        assertThat(mapped(region.address())).isTrue();
        return region.address();
    }

    private void forgottenAdoptedRegionLosesItsMarkAndLetsGoOfTheBuffer() {
        WeakReference<ByteBuffer> buffer = adoptAndForget();
        awaitReports(2);
        assertReported(2, "adopted", "adoptAndForget");
        assertThat(ksm.registry().openRegions()).isZero();
        patiently().untilAsserted(() -> {
            System.gc();
            assertThat(buffer.get()).isNull();
        });
        adviceIsWithdrawnFromABufferThatStays();
    }

    private WeakReference<ByteBuffer> adoptAndForget() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20);
        assertThat(ksm.adopt(buffer, RegionOptions.DEFAULT.withName("adopted")).isMergeable())
                .isTrue();
        return new WeakReference<>(buffer);
    }

    private void adviceIsWithdrawnFromABufferThatStays() {
        ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20).put(0, (byte) 7);
        assertThat(ksm.adopt(buffer).unmarkedRanges()).isEmpty();
        assertThat(mergeableMappings()).isPositive();
        awaitReports(3);
        patiently().untilAsserted(() -> assertThat(mergeableMappings()).isZero());
        assertThat(buffer.get(0)).isEqualTo((byte) 7);
    }

    private void forgottenRegionsAreReclaimedThoughTheLogThrows() {
        for (Throwable thrown : List.of(new IllegalStateException("appender closed"), new StackOverflowError())) {
            int before = reports.size();
            failure = thrown;
            ByteBuffer buffer = ByteBuffer.allocateDirect(1 << 20).put(0, (byte) 7);
            assertThat(ksm.adopt(buffer).unmarkedRanges()).isEmpty();
            long address = openAndForget();
            awaitReports(before + 2);
            assertThat(ksm.registry().leaks()).isEqualTo(before + 2);
            assertThat(mapped(address)).isFalse();
            // The class preloader also marks memory for a moment.
            patiently().untilAsserted(() -> assertThat(mergeableMappings()).isZero());
            assertThat(buffer.get(0)).isEqualTo((byte) 7);
        }
    }

    /**
     * Asserts the number of reports, and that the last one names the region and, if enabled, the place where it was
     * opened.
     */
    private void assertReported(int count, String owner, String openedIn) {
        assertThat(ksm.registry().leaks()).isEqualTo(count);
        assertThat(reports).hasSize(count);
        LogRecord last = List.copyOf(reports).get(count - 1);
        assertThat(last.getMessage()).contains(owner);
        if (Boolean.getBoolean(Ksm.TRACK_LEAKS_PROPERTY)) {
            assertThat(last.getThrown().getStackTrace())
                    .extracting(StackTraceElement::getMethodName)
                    .contains(openedIn);
        } else {
            assertThat(last.getThrown()).isNull();
            assertThat(last.getMessage()).contains("-D" + Ksm.TRACK_LEAKS_PROPERTY + "=true");
        }
    }

    private void awaitReports(int count) {
        patiently().untilAsserted(() -> {
            System.gc();
            assertThat(reports).hasSize(count);
            assertThat(ksm.registry().openRegions()).isZero();
        });
    }

    /** Collects garbage twice, so that the cleaners have processed all objects that are unreachable now. */
    private static void collectTwice() {
        for (int i = 0; i < 2; i++) {
            WeakReference<Object> unreachable = new WeakReference<>(new Object());
            patiently().until(() -> {
                System.gc();
                return unreachable.get() == null;
            });
        }
    }

    private static org.awaitility.core.ConditionFactory patiently() {
        return await().atMost(PATIENCE).pollDelay(Duration.ZERO).pollInterval(Duration.ofMillis(20));
    }

    /** Returns whether the region is mapped. The kernel may have given its addresses to a library since then. */
    private static boolean mapped(long address) {
        String region = Long.toHexString(address) + "-" + Long.toHexString(address + SIZE) + " rw-p";
        return lines("/proc/self/maps").stream().anyMatch(line -> line.startsWith(region));
    }

    private static long mergeableMappings() {
        return lines("/proc/self/smaps").stream()
                .filter(line -> line.startsWith("VmFlags:") && (line + " ").contains(" mg "))
                .count();
    }

    private static List<String> lines(String file) {
        try {
            return Files.readAllLines(Path.of(file), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void publish(LogRecord report) {
        reports.add(report);
        if (failure instanceof RuntimeException e) {
            throw e;
        } else if (failure instanceof Error e) {
            throw e;
        }
    }

    @Override
    public void flush() {}

    @Override
    public void close() {}
}
