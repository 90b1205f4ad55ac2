// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.ffm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The C library through {@code java.lang.foreign}. This is safe because each descriptor is the C prototype of its
 * function. Addresses are passed as plain numbers: the callers in {@code ksm-api} have checked them and own the memory,
 * so no segment is needed to keep it alive during a call.
 *
 * <p>Linking a function takes milliseconds, which would delay the start of a program, so each function is linked at its
 * first call. Linking may fail, for example for lack of memory, and is then tried again at the next call. A method
 * handle is as fast as C only in a {@code static final} field, but a static initializer that fails once has failed for
 * the life of the JVM. So {@link Function#link} does what may fail, and the class that keeps the handle is initialized
 * afterwards.
 */
@SuppressWarnings("restricted")
final class FfmBackend implements KsmBackend {

    static final String NAME = "ffm";

    /** A C function. */
    private static final class Function {

        private final String name;

        /** Null until linked. Volatile, so that the class that keeps the handle sees it once a caller has seen it. */
        private volatile @Nullable MethodHandle handle;

        Function(String name) {
            this.name = name;
        }

        boolean isLinked() {
            return handle != null;
        }

        /** Several threads may link the function at once, which does no harm. */
        void link(FunctionDescriptor type, Linker.Option... options) {
            Linker linker = Linker.nativeLinker();
            handle = linker.downcallHandle(symbol(linker, name), type, options);
        }

        MethodHandle linked() {
            return Objects.requireNonNull(handle);
        }
    }

    private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");

    private static final Function MMAP = new Function("mmap");
    private static final Function MUNMAP = new Function("munmap");
    private static final Function MPROTECT = new Function("mprotect");
    private static final Function MADVISE = new Function("madvise");
    private static final Function MADVISE_WITH_ERRNO = new Function("madvise");
    private static final Function PRCTL = new Function("prctl");
    private static final Function SYSCALL = new Function("syscall");

    private static final class Mmap {
        static final MethodHandle HANDLE = MMAP.linked();
    }

    private static final class Munmap {
        static final MethodHandle HANDLE = MUNMAP.linked();
    }

    private static final class Mprotect {
        static final MethodHandle HANDLE = MPROTECT.linked();
    }

    private static final class Madvise {
        static final MethodHandle HANDLE = MADVISE.linked();
    }

    private static final class MadviseWithErrno {
        static final MethodHandle HANDLE = MADVISE_WITH_ERRNO.linked();
    }

    private static final class Prctl {
        static final MethodHandle HANDLE = PRCTL.linked();
    }

    private static final class Syscall {
        static final MethodHandle HANDLE = SYSCALL.linked();
    }

    private final CapturedErrno captured;
    private final long pageSize;

    /**
     * Links a first function, which fails if native access is not enabled.
     *
     * @throws IllegalCallerException if native access is not enabled
     */
    FfmBackend() {
        Linker linker = Linker.nativeLinker();
        MethodHandle getpagesize =
                linker.downcallHandle(symbol(linker, "getpagesize"), FunctionDescriptor.of(JAVA_INT));
        try {
            pageSize = (int) getpagesize.invokeExact();
        } catch (Throwable t) {
            throw unexpected(t);
        }
        captured = new CapturedErrno();
    }

    private static MemorySegment symbol(Linker linker, String name) {
        return linker.defaultLookup()
                .find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no function " + name));
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public long pageSize() {
        return pageSize;
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        if (!MMAP.isLinked()) {
            MMAP.link(
                    FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG),
                    ERRNO);
        }
        int slot = captured.take();
        try {
            long result = (long) Mmap.HANDLE.invokeExact(captured.segment(slot), 0L, length, protection, flags, -1, 0L);
            return result == -1 ? -captured.errno(slot) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(slot);
        }
    }

    @Override
    public int munmap(long address, long length) {
        if (!MUNMAP.isLinked()) {
            MUNMAP.link(FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG), ERRNO);
        }
        int slot = captured.take();
        try {
            int result = (int) Munmap.HANDLE.invokeExact(captured.segment(slot), address, length);
            return result == -1 ? -captured.errno(slot) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(slot);
        }
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        if (!MPROTECT.isLinked()) {
            MPROTECT.link(FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT), ERRNO);
        }
        int slot = captured.take();
        try {
            int result = (int) Mprotect.HANDLE.invokeExact(captured.segment(slot), address, length, protection);
            return result == -1 ? -captured.errno(slot) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(slot);
        }
    }

    /**
     * Marking memory is the hot path, and capturing errno costs time there: the JDK acquires and checks the segment for
     * it in each call, and until the caller is compiled by C2, allocates a slice of it. So the first call does not
     * capture errno. If it fails, a second one does. This is safe because every advice may be given twice: a failed
     * call has done nothing or a part, which the second call does again. If that one succeeds, so has the method.
     */
    @Override
    public int madvise(long address, long length, int advice) {
        if (!MADVISE.isLinked()) {
            MADVISE.link(FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        }
        try {
            int result = (int) Madvise.HANDLE.invokeExact(address, length, advice);
            return result == 0 ? 0 : madviseWithErrno(address, length, advice);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    private int madviseWithErrno(long address, long length, int advice) {
        if (!MADVISE_WITH_ERRNO.isLinked()) {
            MADVISE_WITH_ERRNO.link(FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT), ERRNO);
        }
        int slot = captured.take();
        try {
            int result = (int) MadviseWithErrno.HANDLE.invokeExact(captured.segment(slot), address, length, advice);
            return result == -1 ? -captured.errno(slot) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(slot);
        }
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        if (!PRCTL.isLinked()) {
            PRCTL.link(
                    FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                    ERRNO,
                    Linker.Option.firstVariadicArg(1));
        }
        int slot = captured.take();
        try {
            int result = (int) Prctl.HANDLE.invokeExact(captured.segment(slot), option, arg2, arg3, arg4, arg5);
            return result == -1 ? -captured.errno(slot) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(slot);
        }
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        if (!SYSCALL.isLinked()) {
            SYSCALL.link(
                    FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                    ERRNO,
                    Linker.Option.firstVariadicArg(1));
        }
        int slot = captured.take();
        try {
            long result =
                    (long) Syscall.HANDLE.invokeExact(captured.segment(slot), number, arg1, arg2, arg3, arg4, arg5);
            return result == -1 ? -captured.errno(slot) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(slot);
        }
    }

    @Override
    public long address(ByteBuffer direct) {
        MemorySegment segment = MemorySegment.ofBuffer(direct.duplicate().clear());
        if (segment.scope().isAlive()) {
            Segments.requireAccessible(segment);
        }
        return segment.address();
    }

    @Override
    public BooleanSupplier liveness(ByteBuffer direct) {
        return MemorySegment.ofBuffer(direct).scope()::isAlive;
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        return new FfmMapping(address, length, owner);
    }

    /** Handles of C functions throw nothing themselves, so this is an error of the JVM, such as a stack overflow. */
    private static Error unexpected(Throwable t) {
        if (t instanceof RuntimeException e) {
            throw e;
        }
        return t instanceof Error e ? e : new AssertionError(t);
    }
}
