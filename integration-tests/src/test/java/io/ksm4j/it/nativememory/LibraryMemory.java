// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.nativememory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.jna.Function;
import com.sun.jna.Native;
import com.sun.jna.Pointer;
import com.sun.management.ThreadMXBean;
import io.ksm4j.AddressRange;
import io.ksm4j.GovernorOptions;
import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.NativeMemory;
import io.ksm4j.NativeMemoryOptions;
import io.ksm4j.RegionOptions;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tck.Mapping;
import java.lang.management.ManagementFactory;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.awaitility.Awaitility;

/** A program that allocates memory as native libraries do. The argument is what to check. */
final class LibraryMemory {

    private static final int MIB = 1 << 20;
    private static final long TIB = 1L << 40;
    private static final int MADV_MERGEABLE = 12;
    private static final int MADV_UNMERGEABLE = 13;
    private static final int READ_WRITE = 3;
    private static final int MAP_FIXED = 0x10;
    private static final int MAP_NORESERVE = 0x4000;
    private static final int PRIVATE_ANONYMOUS = 0x22;
    private static final int NO_ACCESS = 0;
    /** What does not merge stays marked, however fast ksmd scans for other tests. */
    private static final NativeMemoryOptions ON_REQUEST = NativeMemoryOptions.DEFAULT
            .withInterval(Duration.ZERO)
            .withGovernor(GovernorOptions.DEFAULT.withFullScans(1_000_000));

    enum Case {
        ONLY_LIBRARIES {
            @Override
            void check(LibraryMemory memory) throws InterruptedException {
                memory.onlyMemoryOfLibrariesIsMarked();
            }
        },
        FREED {
            @Override
            void check(LibraryMemory memory) {
                memory.freedMemoryIsForgotten();
            }
        },
        MOVED {
            @Override
            void check(LibraryMemory memory) {
                memory.memoryThatReallocMovesIsUnmarked();
            }
        },
        PARTLY_UNMAPPED {
            @Override
            void check(LibraryMemory memory) {
                memory.theRestOfUnmappedMemoryStaysMarked();
            }
        },
        NEVER {
            @Override
            void check(LibraryMemory memory) {
                memory.aRegionThatMustNeverMergeWins();
            }
        },
        MARKED_BY_OTHERS {
            @Override
            void check(LibraryMemory memory) {
                memory.marksOfOthersStay();
            }
        },
        OPTED_IN {
            @Override
            void check(LibraryMemory memory) {
                memory.marksOutliveOptingOut();
            }
        },
        BY_ITSELF {
            @Override
            void check(LibraryMemory memory) {
                memory.newMemoryIsFoundByItself();
            }
        },
        INTERRUPTED {
            @Override
            void check(LibraryMemory memory) {
                memory.anInterruptedThreadLooks();
            }
        },
        FAILED {
            @Override
            void check(LibraryMemory memory) {
                memory.whatWasMarkedBeforeAFailureIsUnmarked();
            }
        },
        NEVER_FAILED {
            @Override
            void check(LibraryMemory memory) {
                memory.aMarkThatCouldNotBeRemovedIsRemovedLater();
            }
        },
        REPLACED {
            @Override
            void check(LibraryMemory memory) {
                memory.aStackInPlaceOfTheMemoryIsUnmarked();
            }
        },
        REPLACED_WHILE_OPTED_IN {
            @Override
            void check(LibraryMemory memory) {
                memory.aStackIsNotMarkedByOptingOut();
            }
        },
        HUGE {
            @Override
            void check(LibraryMemory memory) {
                memory.reservedAddressesAreNotMarked();
            }
        },
        HEAPS {
            @Override
            void check(LibraryMemory memory) throws InterruptedException {
                memory.heapsOfMallocAreNotMarked();
            }
        },
        LOOKS {
            @Override
            void check(LibraryMemory memory) {
                memory.looksDoNotAccumulate();
            }
        };

        abstract void check(LibraryMemory memory) throws InterruptedException;
    }

    private final KsmBackend backend = TestedBackends.open("jna");
    private final Ksm ksm = Ksm.with(backend);

    private LibraryMemory() {}

    public static void main(String[] arguments) throws InterruptedException {
        Case.valueOf(arguments[0]).check(new LibraryMemory());
    }

    private AddressRange malloc(long size) {
        return chunk(Native.malloc(size), size);
    }

    /** Returns the whole mapping of a chunk: its header is directly before the memory. */
    private AddressRange chunk(long address, long size) {
        return new AddressRange(address - 16, (size + 16 + ksm.pageSize() - 1) / ksm.pageSize() * ksm.pageSize());
    }

    private AddressRange realloc(AddressRange chunk, long size) {
        long address =
                Function.getFunction("c", "realloc").invokeLong(new Object[] {new Pointer(chunk.start() + 16), size});
        return chunk(address, size);
    }

    private static void free(AddressRange chunk) {
        Native.free(chunk.start() + 16);
    }

    /**
     * Maps memory that does not look like a stack. It would if it were directly above inaccessible memory, such as the
     * unused part of a heap of {@code malloc}.
     */
    private AddressRange map(long size) {
        AddressRange mapped = new AddressRange(backend.mmap(size, READ_WRITE, PRIVATE_ANONYMOUS), size);
        return isAboveInaccessible(mapped.start()) ? map(size) : mapped;
    }

    private static boolean isAboveInaccessible(long address) {
        long start = address;
        List<Mapping> below = Mapping.between(0, address + 1);
        for (int i = below.size() - 1; i >= 0 && below.get(i).end() >= start; i--) {
            if (!below.get(i).permissions().startsWith("rw")) {
                return below.get(i).permissions().startsWith("---");
            }
            start = below.get(i).start();
        }
        return false;
    }

    /** Maps memory that the kernel cannot join with a chunk. */
    private void mapApart(long size) {
        long page = ksm.pageSize();
        long reserved = backend.mmap(size + 2 * page, NO_ACCESS, PRIVATE_ANONYMOUS);
        assertThat(backend.mprotect(reserved + page, size, READ_WRITE)).isZero();
    }

    private NativeMemory adopt() {
        return NativeMemory.adopt(ksm, ON_REQUEST);
    }

    /** Returns what the kernel has marked; ranges that touch are one. */
    private static List<AddressRange> marked() {
        List<AddressRange> marked = new ArrayList<>();
        for (Mapping mapping : Mapping.between(0, Long.MAX_VALUE)) {
            if (mapping.isMergeable()) {
                AddressRange last = marked.isEmpty() ? null : marked.get(marked.size() - 1);
                if (last != null && last.end() == mapping.start()) {
                    marked.set(marked.size() - 1, new AddressRange(last.start(), mapping.end() - last.start()));
                } else {
                    marked.add(new AddressRange(mapping.start(), mapping.end() - mapping.start()));
                }
            }
        }
        return marked;
    }

    private static List<AddressRange> joined(AddressRange... ranges) {
        List<AddressRange> joined = new ArrayList<>();
        List.of(ranges).stream().sorted().forEach(range -> {
            AddressRange last = joined.isEmpty() ? null : joined.get(joined.size() - 1);
            if (last != null && last.end() == range.start()) {
                joined.set(joined.size() - 1, new AddressRange(last.start(), last.length() + range.length()));
            } else {
                joined.add(range);
            }
        });
        return joined;
    }

    private void onlyMemoryOfLibrariesIsMarked() throws InterruptedException {
        AddressRange before = malloc(4 * MIB + 100);
        mapApart(2 * MIB);
        malloc(300 << 10);
        malloc(MIB);
        try (NativeMemory memory = adopt()) {
            assertThat(marked()).isEqualTo(joined(before));

            AddressRange after = malloc(3 * MIB);
            mapApart(512 << 10);
            AddressRange mapped = map(5 * MIB);
            CountDownLatch end = new CountDownLatch(1);
            Thread stack = new Thread(null, () -> await(end), "stack", 16 * MIB);
            stack.setDaemon(true);
            stack.start();
            useHeapAndMetaspace();
            memory.look();

            assertThat(marked()).isEqualTo(joined(before, after, mapped));
            assertThat(joined(memory.ranges().toArray(AddressRange[]::new))).isEqualTo(marked());
            assertThat(ksm.registry().marks())
                    .isNotEmpty()
                    .allMatch(mark -> mark.owner().equals("native memory"));
            end.countDown();
            stack.join();
        }
        assertThat(marked()).isEmpty();
        assertThat(ksm.registry().openRegions()).isZero();
    }

    private static void await(CountDownLatch end) {
        try {
            end.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void useHeapAndMetaspace() {
        List<byte[]> live = new ArrayList<>();
        for (int i = 0; i < 100 * MIB; i += 64 << 10) {
            live.add(new byte[64 << 10]);
        }
        for (int i = 0; i < 2000; i++) {
            // A hidden class for each.
            int captured = i;
            Runnable lambda = () -> live.get(captured);
            Proxy.newProxyInstance(
                    new ClassLoader(LibraryMemory.class.getClassLoader()) {},
                    new Class<?>[] {Runnable.class},
                    (proxy, method, arguments) -> {
                        lambda.run();
                        return null;
                    });
        }
        System.gc();
    }

    private void freedMemoryIsForgotten() {
        AddressRange kept = malloc(40 * MIB);
        AddressRange freed = malloc(40 * MIB);
        try (NativeMemory memory = adopt()) {
            free(freed);
            // Takes the place of the freed memory, if the kernel wants it so, and is too small to be marked.
            map(64 << 10);
            memory.look();

            assertThat(memory.ranges()).containsExactly(kept);
            assertThat(marked()).containsExactly(kept);
            assertThat(ksm.registry().openRegions()).isOne();
        }
        assertThat(marked()).isEmpty();
    }

    private void memoryThatReallocMovesIsUnmarked() {
        AddressRange before = malloc(40 * MIB);
        // Keeps the memory from being enlarged where it is.
        malloc(40 * MIB);
        AddressRange neighbour = malloc(40 * MIB);
        try (NativeMemory memory = adopt()) {
            AddressRange moved = realloc(before, 90 * MIB);
            assertThat(moved.start()).isNotEqualTo(before.start());
            memory.look();

            assertThat(memory.ranges()).contains(moved).doesNotContain(before);
            assertThat(memory.ranges()).hasSize(3);

            // Not seen by a look before it is closed.
            realloc(moved, 130 * MIB);
            realloc(neighbour, 35 * MIB);
        }
        assertThat(marked()).isEmpty();
        assertThat(ksm.registry().openRegions()).isZero();
    }

    private void theRestOfUnmappedMemoryStaysMarked() {
        try (NativeMemory memory = adopt()) {
            AddressRange mapped = map(12 * MIB);
            memory.look();
            assertThat(marked()).containsExactly(mapped);

            backend.munmap(mapped.start() + 4 * MIB, 4 * MIB);
            memory.look();

            AddressRange first = new AddressRange(mapped.start(), 4 * MIB);
            AddressRange last = new AddressRange(mapped.start() + 8 * MIB, 4 * MIB);
            assertThat(memory.ranges()).containsExactly(first, last);
            assertThat(marked()).containsExactly(first, last);
        }
        assertThat(marked()).isEmpty();
    }

    private void aRegionThatMustNeverMergeWins() {
        AddressRange chunk = malloc(40 * MIB);
        try (NativeMemory memory = adopt()) {
            long secret = chunk.start() + 8 * MIB;
            try (MergeRegion never = ksm.adopt(secret, MIB, RegionOptions.DEFAULT.withMarking(Marking.NEVER))) {
                List<AddressRange> others = List.of(
                        new AddressRange(chunk.start(), 8 * MIB),
                        new AddressRange(secret + MIB, chunk.end() - secret - MIB));
                assertThat(never.range()).isEqualTo(new AddressRange(secret, MIB));
                assertThat(marked()).isEqualTo(others);

                memory.look();

                assertThat(marked()).isEqualTo(others);
                assertThat(memory.ranges()).containsExactly(chunk);

                AddressRange more = malloc(50 * MIB);
                try (MergeRegion all =
                        ksm.adopt(more.start(), more.length(), RegionOptions.DEFAULT.withMarking(Marking.NEVER))) {
                    memory.look();
                    assertThat(all.isMergeable()).isFalse();
                    assertThat(marked()).isEqualTo(others);
                }
                memory.look();
                assertThat(memory.ranges()).contains(more);
            }
        }
        assertThat(marked()).isEmpty();
    }

    private void marksOfOthersStay() {
        AddressRange raw = malloc(40 * MIB);
        backend.madvise(raw.start(), raw.length(), MADV_MERGEABLE);
        AddressRange ours = malloc(41 * MIB);
        AddressRange both = malloc(42 * MIB);
        try (MergeRegion region = ksm.adopt(both.start(), both.length())) {
            AddressRange later;
            try (NativeMemory memory = adopt()) {
                assertThat(memory.ranges()).containsExactly(ours);
                later = malloc(43 * MIB);
                backend.madvise(later.start(), later.length(), MADV_MERGEABLE);
                memory.look();
                assertThat(memory.ranges()).containsExactly(ours);
                assertThat(marked()).isEqualTo(joined(raw, ours, both, later));
            }
            assertThat(marked()).isEqualTo(joined(raw, both, later));
            assertThat(region.isMergeable()).isTrue();
        }
    }

    private void marksOutliveOptingOut() {
        AddressRange chunk = malloc(40 * MIB);
        try (NativeMemory memory = adopt()) {
            ksm.process().markMergeable();
            AddressRange more = malloc(41 * MIB);
            memory.look();
            assertThat(memory.ranges()).containsExactlyInAnyOrder(chunk, more);

            ksm.process().markUnmergeable();

            assertThat(marked()).isEqualTo(joined(chunk, more));
            memory.look();
            assertThat(memory.ranges()).containsExactlyInAnyOrder(chunk, more);
        }
        assertThat(marked()).isEmpty();
    }

    private void newMemoryIsFoundByItself() {
        try (NativeMemory memory =
                NativeMemory.adopt(ksm, NativeMemoryOptions.DEFAULT.withInterval(Duration.ofMillis(1)))) {
            AddressRange chunk = malloc(40 * MIB);
            Awaitility.await().until(() -> memory.ranges().equals(List.of(chunk)));
            free(chunk);
            Awaitility.await().until(() -> memory.ranges().isEmpty());
        }
        assertThat(marked()).isEmpty();
    }

    private void anInterruptedThreadLooks() {
        AddressRange chunk = malloc(40 * MIB);
        try (NativeMemory memory = adopt()) {
            Thread.currentThread().interrupt();
            memory.look();

            assertThat(Thread.interrupted()).isTrue();
            assertThat(memory.ranges()).containsExactly(chunk);
            AddressRange more = malloc(50 * MIB);
            memory.look();
            assertThat(memory.ranges()).containsExactlyInAnyOrder(chunk, more);
        }
    }

    private interface Advice {
        void before(long address, long length, int advice);
    }

    private static final class AdviceFailed extends Error {
        private static final long serialVersionUID = 1;
    }

    /** Returns a {@code Ksm} that does something before it advises the kernel. */
    private Ksm ksm(Advice hook) {
        return Ksm.with((KsmBackend) Proxy.newProxyInstance(
                KsmBackend.class.getClassLoader(), new Class<?>[] {KsmBackend.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals("madvise")) {
                        hook.before((long) arguments[0], (long) arguments[1], (int) arguments[2]);
                    }
                    return method.invoke(backend, arguments);
                }));
    }

    private void whatWasMarkedBeforeAFailureIsUnmarked() {
        int[] calls = {0};
        Ksm failing = ksm((address, length, advice) -> {
            if (advice == MADV_MERGEABLE && ++calls[0] == 2) {
                throw new AdviceFailed();
            }
        });
        try (NativeMemory memory = NativeMemory.adopt(failing, ON_REQUEST)) {
            AddressRange first = malloc(40 * MIB);
            AddressRange second = malloc(41 * MIB);
            assertThatThrownBy(memory::look).isInstanceOf(AdviceFailed.class);
            assertThat(calls[0]).isEqualTo(2);
            assertThat(marked()).hasSize(1);
            assertThat(memory.ranges()).isEqualTo(marked());

            memory.look();

            assertThat(memory.ranges()).containsExactlyInAnyOrder(first, second);
            assertThat(marked()).isEqualTo(joined(first, second));
        }
        assertThat(marked()).isEmpty();
        assertThat(ksm.registry().openRegions()).isZero();
    }

    private void aMarkThatCouldNotBeRemovedIsRemovedLater() {
        AddressRange chunk = malloc(40 * MIB);
        boolean[] fails = {false};
        Ksm failing = ksm((address, length, advice) -> {
            if (fails[0] && advice == MADV_UNMERGEABLE) {
                fails[0] = false;
                throw new AdviceFailed();
            }
        });
        try (NativeMemory memory = NativeMemory.adopt(failing, ON_REQUEST)) {
            fails[0] = true;
            assertThatThrownBy(() -> failing.adopt(
                            chunk.start(), chunk.length(), RegionOptions.DEFAULT.withMarking(Marking.NEVER)))
                    .isInstanceOf(AdviceFailed.class);
            assertThat(marked()).containsExactly(chunk);
            assertThat(memory.ranges()).containsExactly(chunk);
        }
        assertThat(marked()).isEmpty();
    }

    /** Replaces memory by a stack with a guard page. */
    private void replaceByStack(AddressRange memory) {
        long address = Function.getFunction("c", "mmap").invokeLong(new Object[] {
            new Pointer(memory.start()), memory.length(), READ_WRITE, PRIVATE_ANONYMOUS | MAP_FIXED, -1, 0L
        });
        assertThat(address).isEqualTo(memory.start());
        assertThat(backend.mprotect(memory.start(), ksm.pageSize(), NO_ACCESS)).isZero();
    }

    private void aStackInPlaceOfTheMemoryIsUnmarked() {
        AddressRange[] mapped = new AddressRange[1];
        Ksm late = ksm((address, length, advice) -> {
            if (mapped[0] != null && advice == MADV_MERGEABLE) {
                replaceByStack(mapped[0]);
                mapped[0] = null;
            }
        });
        try (NativeMemory memory = NativeMemory.adopt(late, ON_REQUEST)) {
            mapped[0] = map(5 * MIB);
            memory.look();

            assertThat(mapped[0]).isNull();
            assertThat(memory.ranges()).isEmpty();
            assertThat(marked()).isEmpty();
        }
    }

    private void aStackIsNotMarkedByOptingOut() {
        try (NativeMemory memory = adopt()) {
            AddressRange mapped = map(5 * MIB);
            memory.look();
            assertThat(memory.ranges()).containsExactly(mapped);
            ksm.process().markMergeable();
            replaceByStack(mapped);
            memory.look();

            ksm.process().markUnmergeable();

            assertThat(memory.ranges()).isEmpty();
            assertThat(marked()).isEmpty();
        }
    }

    private void reservedAddressesAreNotMarked() {
        try (NativeMemory memory = adopt()) {
            long address = backend.mmap(32 * TIB, READ_WRITE, PRIVATE_ANONYMOUS | MAP_NORESERVE);
            assertThat(address).isPositive();
            memory.look();

            assertThat(memory.ranges()).isEmpty();
        }
    }

    private void heapsOfMallocAreNotMarked() throws InterruptedException {
        try (NativeMemory memory = adopt()) {
            CountDownLatch ready = new CountDownLatch(4);
            CountDownLatch end = new CountDownLatch(1);
            for (int i = 0; i < 4; i++) {
                Thread thread = new Thread(() -> {
                    for (int size = 0; size < 4 * MIB; size += 100_000) {
                        Native.malloc(100_000);
                    }
                    ready.countDown();
                    await(end);
                });
                thread.setDaemon(true);
                thread.start();
            }
            ready.await();
            memory.look();

            assertThat(marked()).isEmpty();
            end.countDown();
        }
    }

    private void looksDoNotAccumulate() {
        for (int i = 0; i < 100; i++) {
            AddressRange chunk = malloc(2 * MIB);
            backend.madvise(chunk.start(), chunk.length(), MADV_MERGEABLE);
        }
        try (NativeMemory memory = adopt()) {
            allocatedByLooks(memory);
            long before = allocatedByLooks(memory);
            allocatedByLooks(memory);

            assertThat(allocatedByLooks(memory)).isLessThan(2 * before);
        }
    }

    private static long allocatedByLooks(NativeMemory memory) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 100; i++) {
            memory.look();
        }
        return threads.getCurrentThreadAllocatedBytes() - before;
    }
}
