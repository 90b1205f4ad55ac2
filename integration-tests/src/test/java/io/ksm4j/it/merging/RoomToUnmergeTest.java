// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.merging;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import io.ksm4j.AddressRange;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.Unmerge;
import io.ksm4j.UnmergeRefusedException;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.tck.Mapping;
import io.ksm4j.testsupport.MemoryCgroup;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * Unmerging pages under a real memory limit: without the check, the OOM killer is invoked; with it, an exception is
 * thrown. The name of the cgroup cannot be decoded to a string.
 */
@EnabledIfKsm(control = true)
class RoomToUnmergeTest {

    private static final long MIB = 1L << 20;

    /** The merged bytes of each child when the limit is set. */
    private static final long MERGED = 192 * MIB;

    /** The headroom below the limit. */
    private static final long ROOM = 64 * MIB;

    /** So many different pages that no page has more copies than a shared page may have users. */
    private static final int CONTENTS = 512;

    /** A child that fills memory, waits for a line until it is merged and limited, and then runs the tested calls. */
    abstract static class Child {
        final Ksm ksm = Ksm.with(TestedBackends.open("ffm"));
        final PageContents pages = PageContents.unique(ksm.pageSize());

        MergeRegion filled(long size, RegionOptions options) {
            MergeRegion region = ksm.allocate(size, options);
            fill(region.buffer());
            return region;
        }

        MergeRegion adopt(long size) {
            int page = (int) ksm.pageSize();
            ByteBuffer buffer = ByteBuffer.allocateDirect((int) size + page)
                    .alignedSlice(page)
                    .slice(0, (int) size);
            fill(buffer);
            return ksm.adopt(buffer);
        }

        private void fill(ByteBuffer buffer) {
            int page = (int) ksm.pageSize();
            for (int i = 0; i < CONTENTS; i++) {
                pages.fill(buffer, i, i);
            }
            for (int at = CONTENTS * page; at < buffer.capacity(); at += CONTENTS * page) {
                buffer.put(at, buffer, 0, CONTENTS * page);
            }
        }

        static void awaitParent(String say) throws IOException {
            System.out.println(say);
            assertThat(System.in.read()).as("line from the parent").isEqualTo('\n');
        }

        static UnmergeRefusedException refused(ThrowingCallable call) {
            UnmergeRefusedException refusal = catchThrowableOfType(UnmergeRefusedException.class, call);
            assertThat(refusal).isNotNull();
            assertThat(refusal.leftBytes()).as("%s", refusal).isBetween(0L, ROOM);
            assertThat(refusal)
                    .hasMessageContaining(refusal.neededBytes() + " bytes")
                    .hasMessageContaining(refusal.leftBytes() + " bytes")
                    .hasMessageContaining(refusal.limitedBy());
            assertThat(refusal.limitedBy()).startsWith(System.getProperty("cgroup"));
            assertThat(refusal.mayRetry()).isTrue();
            return refusal;
        }

        static void assertMergedAndMarked(MergeRegion region) {
            assertThat(region.isMergeable()).isTrue();
            assertThat(region.unmarkedRanges()).isEmpty();
            assertThat(region.stats().mergedBytes()).hasValue(region.size());
        }
    }

    static final class Unchecked extends Child {
        public static void main(String[] arguments) throws IOException {
            try (MergeRegion region = new Unchecked().filled(MERGED, RegionOptions.DEFAULT)) {
                awaitParent("filled");
                System.out.println("unmarking");
                region.markUnmergeable(Unmerge.UNCHECKED);
                System.out.println("unmarked");
            }
        }
    }

    @Tag("long")
    @Test
    void withoutTheCheckTheOomKillerIsInvoked(RunningKsmd ksmd) throws Exception {
        try (MemoryCgroup cgroup = MemoryCgroup.createWithNameInNoEncoding();
                RunningJvm child = start(cgroup, Unchecked.class)) {
            mergeAndLimit(child, cgroup, ksmd);
            child.proceed();
            child.awaitLine("unmarking");
            assertThat(child.awaitExit()).isEqualTo(128 + 9);
            assertThat(child.hasPrintedMore()).isFalse();
        }
    }

    static final class Checked extends Child {
        public static void main(String[] arguments) throws IOException {
            new Checked().run();
        }

        private void run() throws IOException {
            MergeRegion adopted = adopt(128 * MIB);
            List<MergeRegion> parts = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                parts.add(filled(16 * MIB, RegionOptions.DEFAULT));
            }
            awaitParent("filled");

            assertThat(refused(adopted::markUnmergeable).neededBytes()).isEqualTo(128 * MIB);
            assertThat(refused(() -> adopted.markUnmergeable(Unmerge.CHECKED)).unmarkedBytes())
                    .isZero();
            assertThat(refused(() -> adopted.markUnmergeable(0, 96 * MIB)).neededBytes())
                    .isEqualTo(96 * MIB);
            assertThat(refused(() -> ksm.markUnmergeable(parts)).neededBytes()).isEqualTo(64 * MIB);
            assertThat(refused(adopted::close).neededBytes()).isEqualTo(128 * MIB);
            assertThat(adopted.isOpen()).isTrue();
            assertMergedAndMarked(adopted);
            parts.forEach(Child::assertMergedAndMarked);

            ksm.process().markMergeable();
            assertThat(refused(() -> ksm.process().markUnmergeable()).neededBytes())
                    .isGreaterThanOrEqualTo(MERGED);
            refused(() -> ksm.process().markUnmergeable(Unmerge.STEPWISE));
            assertThat(ksm.process().isMergeable()).isTrue();
            assertMergedAndMarked(adopted);

            awaitParent("told");
            ksm.process().markUnmergeable();
            assertThat(ksm.process().isMergeable()).isFalse();
            assertThat(adopted.stats().mergedBytes()).hasValue(0);
            adopted.close();
            parts.forEach(MergeRegion::close);
            System.out.println("done");
        }
    }

    @Test
    void withTheCheckTheCallIsRefusedAndNothingChanges(RunningKsmd ksmd) throws Exception {
        assertEndsWell(ksmd, Checked.class, "told", "done");
    }

    static final class Forgotten extends Child {
        /** A strong reference: the JDK keeps weak ones only, and would lose the logger with its filter. */
        private static final Logger LOGGER = Logger.getLogger("io.ksm4j");

        private final Queue<LogRecord> warnings = new ConcurrentLinkedQueue<>();

        public static void main(String[] arguments) throws IOException {
            new Forgotten().run();
        }

        private void run() throws IOException {
            LOGGER.setFilter(record -> !warnings.add(record));
            MergeRegion adopted = adopt(MERGED);
            AddressRange range = adopted.range();
            awaitParent("filled");

            // From here on, only the registry knows the region.
            adopted = null;
            awaitWarning("stays open and marked");
            MergeRegistry registry = ksm.registry();
            assertThat(registry.openRegions()).isEqualTo(1);
            assertThat(registry.mergeableBytes()).isEqualTo(MERGED);
            assertThat(merged(range)).isEqualTo(MERGED);
            String next = ksm.allocate(ksm.pageSize()).toString();
            awaitWarning(next + " was never closed");
            assertThat(registry.openRegions()).as("the cleaner keeps running").isEqualTo(1);

            awaitParent("told");
            ksm.allocate(ksm.pageSize()).close();
            assertThat(registry.openRegions()).isZero();
            assertThat(registry.mergeableBytes()).isZero();
            assertThat(merged(range)).isZero();
            System.out.println("done");
        }

        private void awaitWarning(String text) {
            await(text).atMost(PATIENCE).until(() -> {
                System.gc();
                return warnings.stream().anyMatch(record -> record.getMessage().contains(text));
            });
        }

        private static long merged(AddressRange range) {
            return Mapping.between(range.start(), range.end()).stream()
                    .mapToLong(mapping -> mapping.bytes("KSM"))
                    .sum();
        }
    }

    @Tag("long")
    @Test
    void aForgottenRegionStaysMarkedUntilThereIsHeadroom(RunningKsmd ksmd) throws Exception {
        assertEndsWell(ksmd, Forgotten.class, "told", "done");
    }

    static final class Stepwise extends Child {
        public static void main(String[] arguments) throws IOException {
            RegionOptions stepwise = RegionOptions.DEFAULT.withUnmerge(Unmerge.STEPWISE);
            try (MergeRegion region = new Stepwise().filled(MERGED, stepwise)) {
                awaitParent("filled");
                UnmergeRefusedException refusal = refused(region::markUnmergeable);
                assertThat(refusal.unmarkedBytes()).isPositive().isLessThanOrEqualTo(ROOM);
                assertThat(refusal.neededBytes()).isEqualTo(MERGED - refusal.unmarkedBytes());
                assertThat(refusal).hasMessageContaining("after unmarking " + refusal.unmarkedBytes() + " bytes");
                assertThat(region.isMergeable()).isTrue();
                assertThat(region.unmarkedRanges()).isEmpty();
                assertThat(region.stats().mergedBytes().orElseThrow()).isGreaterThanOrEqualTo(refusal.neededBytes());
                awaitParent("came part of the way");
                region.markUnmergeable();
                assertThat(region.isMergeable()).isFalse();
                assertThat(region.stats().mergedBytes()).hasValue(0);
                System.out.println("came to the end");
            }
        }
    }

    @Test
    void unmergingInStepsStopsAtTheHeadroomAndFinishesLater(RunningKsmd ksmd) throws Exception {
        assertEndsWell(ksmd, Stepwise.class, "came part of the way", "came to the end");
    }

    /** Runs a child that prints one line under the limit and another one when there is headroom. */
    private static void assertEndsWell(RunningKsmd ksmd, Class<? extends Child> main, String limited, String withRoom)
            throws Exception {
        try (MemoryCgroup cgroup = MemoryCgroup.createWithNameInNoEncoding();
                RunningJvm child = start(cgroup, main)) {
            mergeAndLimit(child, cgroup, ksmd);
            child.proceed();
            child.awaitLine(limited);
            cgroup.limitTo(cgroup.usage() + 2 * MERGED);
            child.proceed();
            child.awaitLine(withRoom);
            assertThat(child.awaitExit()).isZero();
        }
    }

    static final class ReaderOfFiles extends Child {
        public static void main(String[] arguments) throws IOException {
            Path file = Files.createTempFile("ksm4j", "pages");
            try (MergeRegion region = new ReaderOfFiles().filled(MERGED, RegionOptions.DEFAULT)) {
                writeAndReadOften(file, (int) (MERGED / MIB) + 64);
                awaitParent("filled");
                region.markUnmergeable(Unmerge.CHECKED);
                System.out.println("unmarked");
            } finally {
                Files.delete(file);
            }
        }

        private static void writeAndReadOften(Path file, int mebibytes) throws IOException {
            byte[] buffer = new byte[(int) MIB];
            try (RandomAccessFile written = new RandomAccessFile(file.toFile(), "rw")) {
                for (int i = 0; i < mebibytes; i++) {
                    written.write(buffer);
                }
                written.getFD().sync();
                for (int times = 0; times < 3; times++) {
                    written.seek(0);
                    for (int i = 0; i < mebibytes; i++) {
                        written.readFully(buffer);
                    }
                }
            }
        }
    }

    @Tag("long")
    @Test
    void cachedFilesDoNotReduceTheHeadroom(RunningKsmd ksmd) throws Exception {
        try (MemoryCgroup cgroup = MemoryCgroup.createWithNameInNoEncoding();
                RunningJvm child = start(cgroup, ReaderOfFiles.class)) {
            mergeAndLimit(child, cgroup, ksmd);
            child.proceed();
            child.awaitLine("unmarked");
            assertThat(child.awaitExit()).isZero();
        }
    }

    private static RunningJvm start(MemoryCgroup cgroup, Class<?> main) throws IOException {
        List<String> prefix = new ArrayList<>(cgroup.commandPrefix());
        // In this locale, most names cannot be decoded.
        prefix.addAll(List.of("env", "LC_ALL=C"));
        return RunningJvm.start(
                prefix,
                List.of(
                        "-Xmx24m",
                        "-XX:+UseSerialGC",
                        "-XX:TieredStopAtLevel=1",
                        "-XX:MaxDirectMemorySize=256m",
                        "-Dcgroup=" + cgroup.asciiPath()),
                main);
    }

    /** Afterwards, {@code ksmd} is stopped and merged pages stay merged: other programs have to wait for the lock. */
    private static void mergeAndLimit(RunningJvm child, MemoryCgroup cgroup, RunningKsmd ksmd) throws IOException {
        child.awaitLine("filled");
        long wanted = MERGED / Ksm.system().pageSize();
        Path merging = Path.of("/proc", Long.toString(child.pid()), "ksm_merging_pages");
        await().atMost(PATIENCE).until(() -> {
            ksmd.awaitFullScans(1);
            return Long.parseLong(Files.readString(merging).trim()) >= wanted;
        });
        ksmd.set(KsmSetting.RUN, 0);
        cgroup.limitTo(cgroup.usage() + ROOM);
    }
}
