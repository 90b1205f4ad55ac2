// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The loop of the tuner, on a temporary directory of files. */
class KsmTunerTest {

    @TempDir
    private Path root = Path.of("");

    private Path sysfs = Path.of("");
    private KsmDaemon ksmd = KsmDaemon.system();
    private KsmSettings before = KsmSettings.EMPTY;
    private final AtomicInteger decisions = new AtomicInteger();
    private final BlockingQueue<Object> received = new LinkedBlockingQueue<>();

    /** Receives everything, and throws, which must have no effect. */
    private final KsmTuner.Listener listener = new KsmTuner.Listener() {
        @Override
        public void decided(Observation observation, Decision decision) {
            received.add(decision);
            throw new IllegalStateException("a bad listener");
        }

        @Override
        public void failed(RuntimeException failure) {
            received.add(failure);
        }

        @Override
        public void stopped(Throwable cause) {
            received.add(cause);
        }
    };

    @BeforeEach
    void createFiles() throws IOException {
        sysfs = Files.createDirectories(root.resolve("sys/kernel/mm/ksm"));
        Files.writeString(sysfs.resolve("pages_shared"), "0\n");
        write(KsmSetting.RUN, 0);
        write(KsmSetting.PAGES_TO_SCAN, 100);
        ksmd = new KsmDaemon(sysfs, new SessionFile(root.resolve("state"), Path.of("/proc")));
        before = ksmd.settings();
    }

    private void write(KsmSetting setting, long value) throws IOException {
        Files.writeString(sysfs.resolve(setting.file()), value + "\n");
    }

    /** Scans one page more each time. */
    private Decision count(Observation now) {
        int count = decisions.incrementAndGet();
        return new Decision(pages(count), Duration.ofMillis(1), "the number " + count + " at " + now.settings());
    }

    private static KsmSettings pages(long count) {
        return KsmSettings.EMPTY.with(KsmSetting.PAGES_TO_SCAN, count);
    }

    private KsmTuner start(TuningPolicy policy) {
        return KsmTuner.start(ksmd, policy, listener, new ObservationReader(root, 4096));
    }

    private <T> T await(Class<T> type) throws InterruptedException {
        while (true) {
            Object next = received.poll(PATIENCE.toSeconds(), TimeUnit.SECONDS);
            assertThat(next).as("received a " + type).isNotNull();
            if (type.isInstance(next)) {
                return type.cast(next);
            }
        }
    }

    /** After its last call of the listener, the thread of the tuner has nothing more to do. */
    private static void awaitEnd(KsmTuner tuner) {
        while (tuner.isRunning()) {
            Thread.onSpinWait();
        }
    }

    @Test
    void appliesAndReportsEachDecisionAndRestoresAllSettings() throws InterruptedException {
        KsmTuner running;
        try (KsmTuner tuner = start(this::count)) {
            assertThat(await(Decision.class).reason()).isEqualTo("the number 1 at run=0 pages_to_scan=100");
            assertThat(await(Decision.class).reason()).isEqualTo("the number 2 at run=0 pages_to_scan=1");
            assertThat(await(Decision.class).settings()).isEqualTo(pages(3));
            assertThat(tuner.isRunning()).isTrue();
            running = tuner;
        }
        assertThat(running.isRunning()).isFalse();
        assertThat(ksmd.settings()).isEqualTo(before);
        assertThat(root.resolve("state/settings")).doesNotExist();
        received.removeIf(Decision.class::isInstance);
        assertThat(received).as("stopped() is not called").isEmpty();
    }

    @Test
    void continuesAfterAFileThatCannotBeRead() throws IOException, InterruptedException {
        try (KsmTuner tuner = start(this::count)) {
            Files.writeString(sysfs.resolve("full_scans"), "garbage\n");
            assertThat(await(UncheckedIOException.class)).hasStackTraceContaining("full_scans");
            Files.delete(sysfs.resolve("full_scans"));
            received.clear();
            await(Decision.class);
            assertThat(tuner.isRunning()).isTrue();
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Test
    void endsWhenAnotherProgramChangesABorrowedSetting() throws IOException, InterruptedException {
        Decision first = new Decision(pages(7).with(KsmSetting.RUN, 1), Duration.ofMillis(1), "first");
        Decision other = new Decision(pages(8).with(KsmSetting.RUN, 1), Duration.ofMillis(1), "other");
        try (KsmTuner tuner =
                start(now -> now.settings().get(KsmSetting.PAGES_TO_SCAN).orElse(0) == 77 ? other : first)) {
            await(Decision.class);
            write(KsmSetting.PAGES_TO_SCAN, 77);
            assertThat(await(SettingRefusedException.class)).hasMessageContaining("pages_to_scan to 77");
            awaitEnd(tuner);
        }
        assertThat(ksmd.settings()).isEqualTo(before.with(pages(77)));
    }

    @Test
    void endsWhenThePolicyThrows() throws InterruptedException {
        try (KsmTuner tuner = start(now -> {
            if (decisions.get() == 3) {
                throw new UnsupportedOperationException("no more ideas");
            }
            return count(now);
        })) {
            assertThat(await(UnsupportedOperationException.class)).hasMessage("no more ideas");
            assertThat(ksmd.settings()).isEqualTo(before);
            awaitEnd(tuner);
        }
    }

    @Test
    void noticesExternalChangesEvenIfItsDecisionStaysTheSame() throws IOException, InterruptedException {
        Decision same = new Decision(pages(7).with(KsmSetting.RUN, 1), Duration.ofMillis(1), "the same");
        try (KsmTuner tuner = start(now -> same)) {
            await(Decision.class);
            write(KsmSetting.RUN, 0);
            assertThat(await(SettingRefusedException.class)).hasMessageContaining("run to 0");
            awaitEnd(tuner);
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Test
    void continuesWhileALaterSessionHasASetting() throws InterruptedException {
        Decision same = new Decision(pages(7), Duration.ofMillis(1), "the same");
        try (KsmTuner tuner = start(now -> same)) {
            try (KsmSession later = ksmd.borrow(pages(8))) {
                received.clear();
                await(Decision.class);
                await(Decision.class);
                assertThat(ksmd.settings()).isEqualTo(before.with(later.settings()));
            }
            assertThat(tuner.isRunning()).isTrue();
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Test
    void endsWhenThePolicyThrowsAnError() throws InterruptedException {
        try (KsmTuner tuner = start(now -> {
            if (decisions.get() == 3) {
                throw new NoClassDefFoundError("no more ideas");
            }
            return count(now);
        })) {
            assertThat(await(NoClassDefFoundError.class)).hasMessage("no more ideas");
            assertThat(ksmd.settings()).isEqualTo(before);
            awaitEnd(tuner);
        }
    }

    @Test
    void continuesWhenTheListenerThrowsAnError() throws InterruptedException {
        try (KsmTuner tuner = KsmTuner.start(
                ksmd,
                this::count,
                (observation, decision) -> {
                    received.add(decision);
                    throw new AssertionError("a worse listener");
                },
                new ObservationReader(root, 4096))) {
            await(Decision.class);
            await(Decision.class);
            assertThat(tuner.isRunning()).isTrue();
        }
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Test
    void theListenerMayCloseTheTuner() throws InterruptedException {
        CompletableFuture<KsmTuner> started = new CompletableFuture<>();
        KsmTuner tuner = KsmTuner.start(
                ksmd,
                this::count,
                (observation, decision) -> {
                    if (decisions.get() == 2) {
                        started.join().close();
                        received.add(ksmd.settings());
                    }
                },
                new ObservationReader(root, 4096));
        started.complete(tuner);
        assertThat(await(KsmSettings.class)).isEqualTo(before);
        awaitEnd(tuner);
        tuner.close();
        assertThat(decisions).hasValue(2);
    }

    @Test
    void acceptsAPauseWithoutEnd() throws InterruptedException {
        try (Recording recording = new Recording()) {
            recording.enable("io.ksm4j.TunerDecision");
            recording.start();
            try (KsmTuner tuner =
                    start(now -> new Decision(pages(7), ChronoUnit.FOREVER.getDuration(), "once and for all"))) {
                await(Decision.class);
                assertThat(tuner.isRunning()).isTrue();
                assertThat(ksmd.settings()).isEqualTo(before.with(pages(7)));
            }
        }
        assertThat(received).as("stopped() is not called").isEmpty();
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Test
    void startRefusesAPolicyThatThisKernelDoesNotSupport() {
        TuningPolicy advisor = TuningPolicy.advisor(Duration.ofSeconds(1), 1);
        assertThatThrownBy(() -> start(advisor)).isInstanceOf(NoSuchSettingException.class);
        assertThat(ksmd.settings()).isEqualTo(before);
    }

    @Test
    void decisionsAreRecordedByFlightRecorder() throws IOException, InterruptedException {
        Path file = root.resolve("tuner.jfr");
        try (Recording recording = new Recording()) {
            recording.enable("io.ksm4j.TunerDecision");
            recording.start();
            try (KsmTuner tuner = start(this::count)) {
                await(Decision.class);
                assertThat(tuner.isRunning()).isTrue();
            }
            recording.stop();
            recording.dump(file);
        }
        RecordedEvent event = RecordingFile.readAllEvents(file).get(0);
        assertThat(event.getString("reason")).isEqualTo("the number 1 at run=0 pages_to_scan=100");
        assertThat(event.getString("settings")).isEqualTo("pages_to_scan=1");
        assertThat(event.getDuration("pause")).isEqualTo(Duration.ofMillis(1));
        assertThat(event.getLong("fullScans")).isEqualTo(Long.MIN_VALUE);
    }
}
