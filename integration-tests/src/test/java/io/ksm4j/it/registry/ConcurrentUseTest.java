// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.Smaps;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.testsupport.PageContents;
import io.ksm4j.testsupport.TestLength;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Platform and virtual threads do everything concurrently while ksmd merges at full speed. No byte changes. */
@Tag("more")
class ConcurrentUseTest {

    @SuppressWarnings("UnusedVariable") // A field source.
    private static final List<String> BACKENDS = TestedBackends.NAMES;

    private static final int WORKERS = 16;
    private static final int SLICE = 16;
    private static final Duration WORK = Duration.ofSeconds(TestLength.times(1));
    private static final RegionOptions UNVERIFIED = RegionOptions.DEFAULT.withVerify(false);

    @ParameterizedTest
    @FieldSource("BACKENDS")
    @EnabledIfKsm(control = true)
    void contentsStayExactAndNothingIsLeftBehind(String backend, RunningKsmd ksmd) throws Exception {
        Map<Long, Long> mapped = new ConcurrentHashMap<>();
        Ksm ksm = Ksm.with(counting(TestedBackends.open(backend), mapped));
        MergeRegistry registry = ksm.registry();
        long openBefore = registry.openRegions();
        long bytesBefore = registry.mergeableBytes();
        useTogether(ksm, ksmd);
        assertThat(registry.openRegions()).isEqualTo(openBefore);
        assertThat(registry.mergeableBytes()).isEqualTo(bytesBefore);
        Smaps smaps = Smaps.read();
        mapped.forEach((start, size) -> assertThat(
                        LongStream.range(0, size / ksm.pageSize()).map(page -> start + page * ksm.pageSize()))
                .as("pages whose addresses stay mapped")
                .noneMatch(smaps::isMergeable));
        // If buffers cannot be revoked, addresses stay mapped until the last buffer is unreachable.
        await().atMost(PATIENCE).untilAsserted(() -> {
            System.gc();
            assertThat(mapped).as("mappings never unmapped").isEmpty();
        });
    }

    /** A separate method, so that no local variable of the caller refers to a buffer. */
    private static void useTogether(Ksm ksm, RunningKsmd ksmd) throws Exception {
        MergeRegistry registry = ksm.registry();
        long openBefore = registry.openRegions();
        long bytesBefore = registry.mergeableBytes();
        PageContents pages = new PageContents(System.nanoTime(), ksm.pageSize());
        try (MergeRegion common = ksm.allocate(WORKERS * SLICE * ksm.pageSize())) {
            List<Worker> workers = new ArrayList<>();
            for (int i = 0; i < WORKERS; i++) {
                workers.add(new Worker(ksm, pages, common, i));
            }
            run(workers);
            common.markMergeable();
            // After all changes, the registry and the kernel agree, and equal pages merge.
            assertThat(registry.openRegions() - openBefore).isEqualTo(1);
            assertThat(registry.mergeableBytes() - bytesBefore).isEqualTo(common.size());
            assertThat(common.unmarkedRanges()).isEmpty();
            await().atMost(PATIENCE).untilAsserted(() -> {
                ksmd.awaitFullScans(1);
                assertThat(common.stats().mergedBytes()).hasValue(common.size());
            });
            workers.forEach(Worker::verifySlice);
        }
    }

    /** Runs half of the workers on platform threads and half on virtual threads, and throws the first failure. */
    private static void run(List<Worker> workers) throws Exception {
        try (ExecutorService platform = Executors.newCachedThreadPool();
                ExecutorService virtual = Executors.newVirtualThreadPerTaskExecutor()) {
            List<Future<?>> results = new ArrayList<>();
            for (Worker worker : workers) {
                results.add((worker.number % 2 == 0 ? platform : virtual).submit(worker));
            }
            for (Future<?> result : results) {
                result.get(WORK.plus(PATIENCE).toSeconds(), TimeUnit.SECONDS);
            }
        }
    }

    /** A backend that records its mappings. */
    private static KsmBackend counting(KsmBackend backend, Map<Long, Long> mapped) {
        return (KsmBackend) Proxy.newProxyInstance(
                KsmBackend.class.getClassLoader(), new Class<?>[] {KsmBackend.class}, (proxy, method, arguments) -> {
                    // Removed first: another thread may get the same address immediately after.
                    Long size = method.getName().equals("munmap") ? mapped.remove(arguments[0]) : null;
                    try {
                        Object result = method.invoke(backend, arguments);
                        if (method.getName().equals("mmap") && (long) result > 0) {
                            mapped.put((Long) result, (Long) arguments[0]);
                        } else if (size != null && (int) result != 0) {
                            mapped.put((Long) arguments[0], size);
                        }
                        return result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    /**
     * Has its own regions, and a slice of a common region. Only this worker writes the slice, but all workers mark it.
     */
    private static final class Worker implements Runnable {
        final int number;
        private final Ksm ksm;
        private final PageContents pages;
        private final MergeRegion common;
        private final Random random;
        private final ByteBuffer[] slice = new ByteBuffer[SLICE];
        private final long[] contents = new long[SLICE];

        Worker(Ksm ksm, PageContents pages, MergeRegion common, int number) {
            this.ksm = ksm;
            this.pages = pages;
            this.common = common;
            this.number = number;
            this.random = new Random(number);
            for (int i = 0; i < SLICE; i++) {
                slice[i] = common.buffer(((long) number * SLICE + i) * ksm.pageSize(), (int) ksm.pageSize());
            }
        }

        @Override
        public void run() {
            for (int i = 0; i < SLICE; i++) {
                write(i);
            }
            long end = System.nanoTime() + WORK.toNanos();
            while (System.nanoTime() < end) {
                switch (random.nextInt(6)) {
                    case 0 -> useOwnRegion();
                    case 1, 2 -> adoptPartOfCommon();
                    case 3 -> markPartOfCommon();
                    case 4 -> {
                        verifySlice();
                        write(random.nextInt(SLICE));
                    }
                    default -> verifySlice();
                }
            }
            verifySlice();
        }

        /** Writes one of four contents that all workers share, so that pages keep merging. */
        private void write(int page) {
            contents[page] = random.nextInt(4);
            pages.fill(slice[page].duplicate(), 0, contents[page]);
        }

        void verifySlice() {
            for (int i = 0; i < SLICE; i++) {
                pages.verify(slice[i], 0, contents[i]);
            }
        }

        private void useOwnRegion() {
            try (MergeRegion own = ksm.allocate(8 * ksm.pageSize())) {
                pages.fill(own.buffer(), i -> i % 4);
                verifySlice();
                own.markUnmergeable(ksm.pageSize(), 2 * ksm.pageSize());
                pages.verify(own.buffer(), i -> i % 4);
                try (MergeRegion adopted = ksm.adopt(own.buffer())) {
                    pages.fill(own.buffer(), 3, 100 + number);
                    own.markUnmergeable();
                    assertThat(adopted.unmarkedRanges()).isEmpty();
                }
                pages.verify(own.buffer(), i -> i == 3 ? 100 + number : i % 4);
                ksm.markMergeable(List.of(own));
                pages.verify(own.buffer(), i -> i == 3 ? 100 + number : i % 4);
            }
        }

        /** Adopts any part of the common region, so that adopted regions overlap. */
        private void adoptPartOfCommon() {
            long first = random.nextInt(WORKERS * SLICE - SLICE) * ksm.pageSize();
            try (MergeRegion adopted =
                    ksm.adopt(common.address() + first, (1 + random.nextInt(SLICE)) * ksm.pageSize(), UNVERIFIED)) {
                assertThat(ksm.registry().isMergeable(adopted.address())).isTrue();
                verifySlice();
                if (random.nextBoolean()) {
                    adopted.markUnmergeable();
                    adopted.markMergeable(0, ksm.pageSize());
                }
            }
        }

        private void markPartOfCommon() {
            long offset = (long) random.nextInt(WORKERS) * SLICE * ksm.pageSize();
            if (random.nextBoolean()) {
                common.markMergeable(offset, SLICE * ksm.pageSize());
            } else {
                common.markUnmergeable(offset, SLICE * ksm.pageSize());
            }
        }
    }
}
