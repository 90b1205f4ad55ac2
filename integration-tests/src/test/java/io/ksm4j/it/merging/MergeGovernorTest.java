// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.merging;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;
import static org.awaitility.Awaitility.await;

import io.ksm4j.AddressRange;
import io.ksm4j.GovernorOptions;
import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeGovernor;
import io.ksm4j.MergeGovernor.Reason;
import io.ksm4j.MergeGovernor.Rest;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.PageContents;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What does not merge is unmarked, what merges stays marked. */
@EnabledIfKsm(control = true)
class MergeGovernorTest {

    private static final int PART = 512;
    private static final int PARTS = 6;
    private static final int SCANS = 4;
    private static final GovernorOptions ON_REQUEST = new GovernorOptions(SCANS, Duration.ZERO);

    private final Ksm ksm = Ksm.system();
    private final PageContents pages = PageContents.unique(ksm.pageSize());
    private final RunningKsmd ksmd;

    MergeGovernorTest(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    private MergeRegion allocate(int parts) {
        return ksm.allocate(
                ksm.pageSize() * parts * PART,
                RegionOptions.DEFAULT.withName("governed").withHugePages(HugePages.AVOID));
    }

    /** Fills a region; every part but the first and the last has pages that no other part has. */
    private void fillWithFewEqualParts(MergeRegion region) {
        pages.fill(region.buffer(), page -> page < PART || page >= (PARTS - 1) * PART ? page % PART : page);
    }

    private AddressRange parts(MergeRegion region, int from, int to) {
        long part = PART * ksm.pageSize();
        return new AddressRange(region.address() + from * part, (to - from) * part);
    }

    /** The first check sees the data for the first time, the second one judges it. */
    private void judge(MergeGovernor governor) {
        for (int i = 0; i < 2; i++) {
            ksmd.awaitFullScans(SCANS);
            governor.check();
        }
    }

    @Test
    void partsThatDoNotMergeAreUnmarkedAndTriedAgainAfterLongerAndLongerRests(@TempDir Path directory)
            throws IOException {
        try (Recording recording = new Recording();
                MergeGovernor governor = MergeGovernor.start(ksm, ON_REQUEST);
                MergeRegion region = allocate(PARTS)) {
            recording.enable("io.ksm4j.Rest");
            recording.start();
            governor.govern(region);
            fillWithFewEqualParts(region);
            assertThat(governor.resting()).isEmpty();

            judge(governor);

            Rest rest = new Rest(parts(region, 1, PARTS - 1), "governed", Reason.NOT_MERGED);
            assertThat(governor.resting()).containsExactly(rest);
            assertThat(region.unmarkedRanges()).containsExactly(rest.range());
            assertThat(region.stats().savedBytes()).isEqualTo(PART * ksm.pageSize());

            ksmd.awaitFullScans(SCANS);
            governor.check();
            assertThat(governor.resting()).as("tried again").isEmpty();
            assertThat(region.unmarkedRanges()).isEmpty();

            ksmd.awaitFullScans(SCANS);
            governor.check();
            assertThat(governor.resting()).containsExactly(rest);

            assertThat(restsIn(recording, directory))
                    .extracting(
                            event -> event.getLong("address"),
                            event -> event.getLong("bytes"),
                            event -> event.getString("owner"),
                            event -> event.getString("reason"),
                            event -> event.getLong("fullScans"))
                    .containsExactly(
                            tuple(rest.range().start(), rest.range().length(), "governed", "NOT_MERGED", 1L * SCANS),
                            tuple(rest.range().start(), rest.range().length(), "governed", "NOT_MERGED", 2L * SCANS));
            ksmd.awaitFullScans(2 * SCANS);
            governor.check();
            assertThat(governor.resting()).isEmpty();
        }
    }

    private static List<RecordedEvent> restsIn(Recording recording, Path directory) throws IOException {
        Path file = directory.resolve("rests.jfr");
        recording.dump(file);
        return RecordingFile.readAllEvents(file).stream()
                .filter(event -> event.getEventType().getName().equals("io.ksm4j.Rest"))
                .toList();
    }

    @Test
    void aPartThatMergesWhenItIsTriedAgainStaysMarked() throws InterruptedException {
        try (MergeGovernor governor = MergeGovernor.start(ksm, ON_REQUEST);
                MergeRegion region = allocate(PARTS)) {
            governor.govern(region);
            fillWithFewEqualParts(region);
            judge(governor);
            assertThat(governor.resting()).hasSize(1);
            pages.fill(region.buffer(), page -> page % PART);

            ksmd.awaitFullScans(SCANS);
            governor.check();
            ksmd.awaitMerged(region, 1);
            judge(governor);

            assertThat(governor.resting()).isEmpty();
            assertThat(region.unmarkedRanges()).isEmpty();
        }
    }

    @Test
    void partsThatAreCopiedAgainAndAgainAreUnmarked() throws InterruptedException {
        try (MergeGovernor governor = MergeGovernor.start(ksm, ON_REQUEST);
                MergeRegion written = allocate(1);
                MergeRegion same = allocate(1)) {
            pages.fill(same.buffer(), page -> page);
            pages.fill(written.buffer(), page -> page);
            governor.govern(written);
            for (int round = 0; round < 2; round++) {
                assertThat(governor.resting()).isEmpty();
                ksmd.awaitMerged(written, 1);
                ksmd.awaitFullScans(SCANS);
                governor.check();
                ksmd.awaitFullScans(SCANS);
                ksmd.set(KsmSetting.RUN, 0);
                pages.fill(written.buffer(), page -> page);
                governor.check();
                ksmd.set(KsmSetting.RUN, 1);
            }

            assertThat(governor.resting()).extracting(Rest::reason).containsExactly(Reason.COPIED);
            assertThat(same.unmarkedRanges()).isEmpty();
            pages.verify(written.buffer(), page -> page);
        }
    }

    @Test
    void everythingIsMarkedAgainWhenARegionIsReleasedOrTheGovernorClosed() {
        try (MergeRegion released = allocate(PARTS);
                MergeRegion governed = allocate(PARTS)) {
            try (MergeGovernor governor = MergeGovernor.start(ksm, ON_REQUEST)) {
                governor.govern(released);
                governor.govern(governed);
                pages.fill(released.buffer(), page -> page);
                pages.fill(governed.buffer(), page -> -1 - page);
                judge(governor);
                assertThat(governor.resting()).hasSize(2);

                governor.release(released);

                assertThat(released.unmarkedRanges()).isEmpty();
                assertThat(governor.resting()).extracting(Rest::range).containsExactly(governed.range());
            }
            assertThat(governed.unmarkedRanges()).isEmpty();
        }
    }

    @Test
    void theThreadOfTheGovernorChecksByItself() {
        try (MergeGovernor governor = MergeGovernor.start(ksm, new GovernorOptions(SCANS, Duration.ofMillis(5)))) {
            try (MergeRegion region = allocate(1)) {
                governor.govern(region);
                pages.fill(region.buffer(), page -> page);

                await().atMost(PATIENCE).until(() -> !governor.resting().isEmpty());
            }
            await().atMost(PATIENCE).until(() -> governor.resting().isEmpty());
        }
    }

    @Test
    void regionsOfAnotherKsmAndClosedOnesAreRefused() {
        MergeGovernor governor = MergeGovernor.start(ksm, ON_REQUEST);
        try (MergeRegion other = Ksm.fallback().allocate(1)) {
            assertThatThrownBy(() -> governor.govern(other)).isInstanceOf(IllegalArgumentException.class);
        }
        MergeRegion closed = allocate(1);
        closed.close();
        assertThatThrownBy(() -> governor.govern(closed)).isInstanceOf(IllegalStateException.class);
        governor.close();
        governor.close();
        assertThatThrownBy(governor::check).isInstanceOf(IllegalStateException.class);
        assertThat(List.of(new GovernorOptions(2, Duration.ofDays(1))))
                .containsExactly(GovernorOptions.DEFAULT.withFullScans(2).withInterval(Duration.ofDays(1)));
        assertThatThrownBy(() -> GovernorOptions.DEFAULT.withFullScans(1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> GovernorOptions.DEFAULT.withInterval(Duration.ofNanos(-1)))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
