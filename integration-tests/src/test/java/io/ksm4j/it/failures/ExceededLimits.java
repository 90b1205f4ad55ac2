// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.failures;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.ksm4j.Ksm;
import io.ksm4j.Marking;
import io.ksm4j.MemoryLimitExceededException;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Exceeds limits of its own process. */
final class ExceededLimits {

    static final long ADDRESS_SPACE = 32L << 30;
    static final long DATA = 8L << 30;

    private static final int MCL_FUTURE = 2;

    private static final RegionOptions GUARDED = RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE);
    private static final RegionOptions UNGUARDED = GUARDED.withGuardPages(false);

    private static final Ksm KSM = Ksm.system();

    private ExceededLimits() {}

    public static void main(String[] args) throws Throwable {
        for (RegionOptions options : new RegionOptions[] {GUARDED, UNGUARDED}) {
            assertExceeds("RLIMIT_AS", ADDRESS_SPACE, ADDRESS_SPACE, options);
            assertExceeds("RLIMIT_DATA", DATA, DATA, options);
        }
        System.out.println("process: done");
        long lockable = Long.parseLong(args[0]);
        if (lockable > 0) {
            whileAllIsLocked(lockable);
            System.out.println("locked: done");
        }
    }

    private static void whileAllIsLocked(long limit) throws Throwable {
        MethodHandle mlockall = function("mlockall", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
        MethodHandle munlockall = function("munlockall", FunctionDescriptor.of(ValueLayout.JAVA_INT));
        assertThat((int) munlockall.invokeExact()).isZero();
        assertThat((int) mlockall.invokeExact(MCL_FUTURE)).isZero();
        try (MergeRegion locked = KSM.allocate(1, UNGUARDED)) {
            assertThat(locked.isOpen()).isTrue();
            for (RegionOptions options : new RegionOptions[] {GUARDED, UNGUARDED}) {
                assertExceeds("RLIMIT_MEMLOCK", limit, limit, options);
            }
        } finally {
            assertThat((int) munlockall.invokeExact()).isZero();
        }
    }

    @SuppressWarnings("restricted") // There is no other way to make this call.
    private static MethodHandle function(String name, FunctionDescriptor type) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().find(name).orElseThrow(), type);
    }

    private static void assertExceeds(String by, long limit, long size, RegionOptions options) {
        long open = KSM.registry().openRegions();
        MemoryLimitExceededException exceeded =
                catchThrowableOfType(MemoryLimitExceededException.class, () -> KSM.allocate(size, options));
        assertThat(exceeded).as("allocating %d bytes", size).isNotNull();
        assertThat(exceeded.limitedBy()).as(exceeded.getMessage()).isEqualTo(by);
        assertThat(exceeded.limitBytes()).isEqualTo(limit);
        assertThat(exceeded.mayRetry()).isFalse();
        assertThat(exceeded).hasMessageContaining("raise " + by);
        assertThat(KSM.registry().openRegions()).isEqualTo(open);
    }
}
