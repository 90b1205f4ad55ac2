// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ksm4j.AddressRange;
import io.ksm4j.FailedCall;
import io.ksm4j.InvalidRangeException;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.KsmPermissionException;
import io.ksm4j.KsmSupport;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import io.ksm4j.ResourceUnavailableException;
import io.ksm4j.it.fixtures.Mappings;
import io.ksm4j.it.fixtures.SeccompFilter;
import io.ksm4j.it.fixtures.TestedBackends;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.stats.Finding;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Gets every errno of every system call, under filters that answer by the length or the number of ranges. */
final class RefusedCalls {

    private static final int MADV_MERGEABLE = 12;
    private static final int MADV_UNMERGEABLE = 13;
    private static final int PR_SET_MEMORY_MERGE = 67;
    private static final int PR_GET_MEMORY_MERGE = 68;

    private static final int EPERM = 1;
    private static final int EIO = 5;
    private static final int EAGAIN = 11;
    private static final int ENOMEM = 12;
    private static final int EACCES = 13;
    private static final int EINVAL = 22;
    private static final int ENOSYS = 38;

    /** The exception of each errno, for calls with a range. The index of an errno in the map is added to the length. */
    private static final Map<Integer, Class<? extends KsmException>> EXCEPTIONS = exceptions();

    // The lengths in pages that the filters answer, to which the index of the errno is added.
    private static final int MARK = 1000;
    private static final int UNMARK = 2000;
    private static final int MAP = 3000;
    private static final int UNMAP = 4000;
    private static final int PROTECT = 5000;
    private static final int SECRET = 6000;

    private static final RegionOptions UNMARKED = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);

    private static final KsmBackend BACKEND = TestedBackends.open(System.getProperty(Ksm.BACKEND_PROPERTY));
    private static final long PAGE = BACKEND.pageSize();

    /** The last range that the backend mapped. */
    private static AddressRange lastMapped = new AddressRange(0, 1);

    private static final Ksm KSM = Ksm.with(remembering(BACKEND));

    private RefusedCalls() {}

    private static Map<Integer, Class<? extends KsmException>> exceptions() {
        Map<Integer, Class<? extends KsmException>> exceptions = new LinkedHashMap<>();
        exceptions.put(EPERM, KsmPermissionException.class);
        exceptions.put(EACCES, KsmPermissionException.class);
        exceptions.put(EINVAL, InvalidRangeException.class);
        exceptions.put(ENOSYS, KsmUnsupportedException.class);
        exceptions.put(EIO, KsmException.class);
        exceptions.put(EAGAIN, ResourceUnavailableException.class);
        exceptions.put(ENOMEM, ResourceUnavailableException.class);
        return exceptions;
    }

    private static KsmBackend remembering(KsmBackend backend) {
        return (KsmBackend) Proxy.newProxyInstance(
                KsmBackend.class.getClassLoader(), new Class<?>[] {KsmBackend.class}, (proxy, method, arguments) -> {
                    try {
                        Object result = method.invoke(backend, arguments);
                        if (method.getName().equals("mmap") && (long) result > 0) {
                            lastMapped = new AddressRange((long) result, (long) arguments[0]);
                        }
                        return result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    /** The contents of the registry. */
    private record Registered(long openRegions, long mergeableBytes, List<MergeRegistry.Mark> marks) {
        static Registered now() {
            MergeRegistry registry = MergeRegistry.system();
            return new Registered(registry.openRegions(), registry.mergeableBytes(), registry.marks());
        }
    }

    private interface Action {
        void run();
    }

    public static void main(String[] args) {
        SeccompFilter filter = new SeccompFilter();
        int place = 0;
        for (int errno : EXCEPTIONS.keySet()) {
            filter.answer(errno, SeccompFilter.MADVISE, 1, (MARK + place) * PAGE, 2, MADV_MERGEABLE)
                    .answer(errno, SeccompFilter.MADVISE, 1, (UNMARK + place) * PAGE, 2, MADV_UNMERGEABLE)
                    .answer(errno, SeccompFilter.MMAP, 1, (MAP + place) * PAGE)
                    .answer(errno, SeccompFilter.MUNMAP, 1, (UNMAP + place) * PAGE)
                    .answer(errno, SeccompFilter.MPROTECT, 1, (PROTECT + place) * PAGE);
            place++;
        }
        filter.answer(ENOSYS, SeccompFilter.PROCESS_MADVISE, 2, 2)
                .answer(EPERM, SeccompFilter.PROCESS_MADVISE, 2, 3)
                .answer(EINVAL, SeccompFilter.PROCESS_MADVISE, 2, 4)
                .install(BACKEND);
        Mappings.awaitStartOfTheRegistry();
        place = 0;
        for (int errno : EXCEPTIONS.keySet()) {
            mark(errno, MARK + place);
            unmark(errno, UNMARK + place);
            map(errno, MAP + place);
            unmap(errno, UNMAP + place);
            protect(errno, PROTECT + place);
            place++;
        }
        System.out.println("calls: done");
        for (int ranges = 2; ranges <= 4; ranges++) {
            batch(ranges);
        }
        System.out.println("batches: done");
        secretThatCannotBeExcluded();
        process();
        System.out.println("process: done");
        support();
        System.out.println("support: done");
    }

    /** Runs a call that must fail, checks the exception, and that the registry is unchanged. */
    private static KsmException failure(int errno, String call, Class<? extends KsmException> type, Action action) {
        Registered before = Registered.now();
        KsmException failure = catchThrowableOfType(KsmException.class, action::run);
        assertThat(failure).as("%s with errno %d", call, errno).isExactlyInstanceOf(type);
        FailedCall failedCall = failure.failedCall().orElseThrow();
        assertThat(failedCall.name()).startsWith(call);
        assertThat(failedCall.errno()).isEqualTo(errno);
        assertThat(failure)
                .hasMessageStartingWith(failedCall + ": ")
                .hasMessageContaining("failed with " + failedCall.errnoName());
        assertThat(failure.getMessage().length())
                .as("more than the call: %s", failure.getMessage())
                .isGreaterThan(failedCall.toString().length() + 20);
        assertThat(failure.mayRetry()).isEqualTo(type == ResourceUnavailableException.class);
        assertThat(Registered.now()).isEqualTo(before);
        return failure;
    }

    private static void mark(int errno, int pages) {
        String call = "madvise(MADV_MERGEABLE)";
        failure(errno, call, EXCEPTIONS.get(errno), () -> KSM.allocate(pages * PAGE));
        assertThat(Mappings.touch(lastMapped)).as("leaked").isFalse();

        try (MergeRegion region = KSM.allocate(pages * PAGE, UNMARKED)) {
            failure(errno, call, EXCEPTIONS.get(errno), region::markMergeable);
            failure(errno, call, EXCEPTIONS.get(errno), () -> KSM.adopt(region.address(), region.size()));
            assertThat(region.isMergeable()).isFalse();
            assertThat(Mappings.mergeable(region.range())).isEmpty();
            region.markMergeable(PAGE, PAGE);
            assertThat(Mappings.mergeable(region.range()))
                    .containsExactly(new AddressRange(region.address() + PAGE, PAGE));
        }
        assertThat(Mappings.touch(lastMapped)).as("leaked").isFalse();
    }

    private static void unmark(int errno, int pages) {
        String call = "madvise(MADV_UNMERGEABLE)";
        try (MergeRegion memory = KSM.allocate((pages + 500) * PAGE, UNMARKED);
                MergeRegion region = KSM.allocate(pages * PAGE)) {
            failure(errno, call, EXCEPTIONS.get(errno), region::markUnmergeable);
            assertThat(region.isMergeable()).isTrue();
            assertThat(Mappings.mergeable(region.range())).containsExactly(region.range());

            MergeRegion adopted = KSM.adopt(memory.address(), pages * PAGE);
            failure(errno, call, EXCEPTIONS.get(errno), adopted::close);
            assertThat(adopted.isOpen()).isTrue();
            assertThat(Mappings.mergeable(memory.range())).containsExactly(adopted.range());
            // The rest has a length that no rule answers.
            adopted.markUnmergeable(0, 100 * PAGE);
            adopted.close();
            assertThat(adopted.isOpen()).isFalse();
            assertThat(Mappings.mergeable(memory.range())).isEmpty();
        }
        assertThat(Mappings.touch(lastMapped)).as("leaked").isFalse();
    }

    private static void map(int errno, int pages) {
        int times = 25;
        long mappings = Mappings.count();
        for (int i = 0; i < times; i++) {
            failure(
                    errno,
                    "mmap of " + (pages * PAGE) + " bytes",
                    errno == EINVAL ? KsmException.class : EXCEPTIONS.get(errno),
                    () -> KSM.allocate((pages - 2) * PAGE));
        }
        // The JVM may create a few mappings for itself.
        assertThat(Mappings.count()).as("leaked").isLessThan(mappings + times);
    }

    private static void unmap(int errno, int pages) {
        Registered before = Registered.now();
        MergeRegion region = KSM.allocate((pages - 2) * PAGE);
        KsmException failure = catchThrowableOfType(KsmException.class, region::close);
        assertThat(failure).isExactlyInstanceOf(EXCEPTIONS.get(errno));
        FailedCall call = failure.failedCall().orElseThrow();
        assertThat(call.name()).isEqualTo("munmap");
        assertThat(call.errno()).isEqualTo(errno);
        assertThat(region.isOpen()).isFalse();
        region.close();
        assertThat(Registered.now()).isEqualTo(before);
        assertThat(Mappings.mergeable(lastMapped)).as("marked though closed").isEmpty();
    }

    private static void protect(int errno, int pages) {
        failure(errno, "mprotect", EXCEPTIONS.get(errno), () -> KSM.allocate(pages * PAGE));
        assertThat(Mappings.touch(lastMapped)).as("leaked").isFalse();
    }

    /** If process_madvise is refused, a loop of madvise calls does the same. */
    private static void batch(int count) {
        Ksm ksm = Ksm.with(BACKEND);
        MergeRegion[] regions = new MergeRegion[count];
        for (int i = 0; i < count; i++) {
            // The last but one region cannot be marked as a whole.
            regions[i] = ksm.allocate((i == count - 2 ? MARK : 8) * PAGE, UNMARKED);
        }
        List<MergeRegion> all = List.of(regions);
        failure(EPERM, "madvise(MADV_MERGEABLE)", KsmPermissionException.class, () -> ksm.markMergeable(all));
        for (MergeRegion region : all) {
            assertThat(region.isMergeable()).isFalse();
            assertThat(Mappings.mergeable(region.range())).isEmpty();
        }
        regions[count - 2].close();
        regions[count - 2] = ksm.allocate(8 * PAGE, UNMARKED);
        List<MergeRegion> willing = List.of(regions);
        ksm.markMergeable(willing);
        for (MergeRegion region : willing) {
            assertThat(region.isMergeable()).isTrue();
            assertThat(Mappings.mergeable(region.range())).containsExactly(region.range());
        }
        ksm.markUnmergeable(willing);
        for (MergeRegion region : willing) {
            assertThat(Mappings.mergeable(region.range())).isEmpty();
            region.close();
        }
    }

    private static void secretThatCannotBeExcluded() {
        RegionOptions never = RegionOptions.DEFAULT.withMarking(Marking.NEVER);
        try (MergeRegion secret = KSM.allocate(SECRET * PAGE, never)) {
            new SeccompFilter()
                    .answer(EIO, SeccompFilter.MADVISE, 1, SECRET * PAGE, 2, MADV_UNMERGEABLE)
                    .install(BACKEND);
            KsmException failure = failure(
                    EIO,
                    "madvise(MADV_UNMERGEABLE)",
                    KsmException.class,
                    () -> KSM.process().markMergeable());
            assertThat(failure.failedCall().orElseThrow().range()).hasValue(secret.range());
            assertThat(KSM.process().isMergeable()).as("opted out again").isFalse();
            assertThat(Mappings.mergeable(secret.range())).isEmpty();
        }
    }

    private static void process() {
        for (Map.Entry<Integer, Class<? extends KsmException>> answer : EXCEPTIONS.entrySet()) {
            int errno = answer.getKey();
            Class<? extends KsmException> type = errno == EINVAL ? KsmUnsupportedException.class : answer.getValue();
            new SeccompFilter()
                    .answer(errno, SeccompFilter.PRCTL, 0, PR_SET_MEMORY_MERGE)
                    .install(BACKEND);
            String call = "prctl(PR_SET_MEMORY_MERGE)";
            failure(errno, call, type, () -> KSM.process().markMergeable());
            failure(errno, call, type, () -> KSM.process().markUnmergeable());
            assertThat(KSM.process().isMergeable()).isFalse();
        }
        new SeccompFilter()
                .answer(EINVAL, SeccompFilter.PRCTL, 0, PR_GET_MEMORY_MERGE)
                .install(BACKEND);
        failure(
                EINVAL,
                "prctl(PR_GET_MEMORY_MERGE)",
                KsmUnsupportedException.class,
                () -> KSM.process().isMergeable());
        try (MergeRegion memory = KSM.allocate(4 * PAGE, UNMARKED)) {
            MergeRegion adopted = KSM.adopt(memory.address(), memory.size());
            adopted.close();
            assertThat(Mappings.mergeable(memory.range())).isEmpty();
        }
    }

    private static void support() {
        assertThat(Ksm.system().support().canMark()).isTrue();
        new SeccompFilter()
                .answer(EPERM, SeccompFilter.MADVISE, 2, MADV_MERGEABLE)
                .install(BACKEND);
        cannotMark(Finding.Kind.ADVICE_FORBIDDEN, "EPERM", EPERM, KsmPermissionException.class);
        new SeccompFilter()
                .answer(EINVAL, SeccompFilter.MADVISE, 2, MADV_MERGEABLE)
                .install(BACKEND);
        cannotMark(Finding.Kind.KERNEL_WITHOUT_KSM, "CONFIG_KSM", EINVAL, KsmUnsupportedException.class);
    }

    private static void cannotMark(
            Finding.Kind kind, String explanation, int errno, Class<? extends KsmException> type) {
        KsmSupport support = Ksm.system().support();
        assertThat(support.canMark()).isFalse();
        assertThat(support.canMerge()).isFalse();
        assertThat(support.obstacles()).anySatisfy(obstacle -> {
            assertThat(obstacle.kind()).isEqualTo(kind);
            assertThat(obstacle.explanation()).contains(explanation);
        });
        failure(errno, "madvise(MADV_MERGEABLE)", type, () -> KSM.allocate(700 * PAGE));
        assertThat(Mappings.touch(lastMapped)).as("leaked").isFalse();

        Ksm fallback = Ksm.systemOrFallback();
        assertThat(fallback.backend()).isEqualTo("fallback");
        try (MergeRegion region = fallback.allocate(16 * PAGE)) {
            region.buffer().putLong(0, 42);
            assertThat(region.buffer().getLong(0)).isEqualTo(42);
            assertThat(region.isMergeable()).isTrue();
            assertThat(Mappings.mergeable(region.range())).isEmpty();
        }
    }
}
