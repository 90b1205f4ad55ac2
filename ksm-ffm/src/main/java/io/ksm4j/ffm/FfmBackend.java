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
import java.util.Optional;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The C library through {@code java.lang.foreign}. Addresses are passed as plain numbers: the callers in
 * {@code ksm-api} have checked them and own the memory, so no segment is needed to keep it alive during a call.
 *
 * <p>Linking a function takes milliseconds, which would delay the start of a program, so each function is linked at its
 * first call. Linking may fail, for example for lack of memory, and is then tried again at the next call. A method
 * handle is as fast as C only in a {@code static final} field, but a static initializer that fails once has failed for
 * the life of the JVM. So {@link Function#link} does what may fail, and the class that keeps the handle is initialized
 * afterwards.
 *
 * <p>Most of that time, the JDK generates code for the descriptor. So all functions with a fixed number of parameters
 * have the same one, {@link #SIX_LONGS}. This is safe, although it is not their C prototype, because of the calling
 * conventions of 64-bit Linux: an integer is passed in a register or a stack slot of 64 bits, a narrower one is
 * extended by its sign, and what is passed beyond the parameters of a function is ignored. Of an {@code int} result,
 * only the lower 32 bits are defined.
 *
 * <p>These functions are called without capturing errno, which would cost time in each call: the JDK acquires and
 * checks the segment for it and, until C2 compiles the caller, allocates a slice of it. If a call fails, {@link #again}
 * makes it a second time and captures errno. This is safe because a call that failed can be repeated: it has done
 * nothing or, in the case of {@code madvise}, a part that the second call does again. If that one succeeds, so has the
 * method. Other functions capture errno at once: a repeated {@code close(2)}, for example, could close the file of
 * another thread.
 */
@SuppressWarnings("restricted")
final class FfmBackend implements KsmBackend {

    static final String NAME = "ffm";

    private static final FunctionDescriptor SIX_LONGS =
            FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    /** A C function. */
    private static final class Function {

        private final String name;

        /** Null until linked. Volatile, so that the class that keeps the handle sees it once a caller has seen it. */
        private volatile @Nullable MethodHandle handle;

        /** A handle that captures errno; null until a call fails. */
        private volatile @Nullable MethodHandle capturing;

        Function(String name) {
            this.name = name;
        }

        boolean isLinked() {
            return handle != null;
        }

        /** Several threads may link the function at once, which does no harm. */
        void link() {
            handle = linked(SIX_LONGS);
        }

        /** Links a function with a variable number of parameters, and captures errno. */
        void link(FunctionDescriptor type, int fixedParameters) {
            handle = linked(
                    type, Linker.Option.captureCallState("errno"), Linker.Option.firstVariadicArg(fixedParameters));
        }

        private MethodHandle linked(FunctionDescriptor type, Linker.Option... options) {
            Linker linker = Linker.nativeLinker();
            Optional<MemorySegment> symbol = linker.defaultLookup().find(name);
            if (symbol.isEmpty()) {
                throw new UnsatisfiedLinkError("the C library has no function " + name);
            }
            return linker.downcallHandle(symbol.get(), type, options);
        }

        MethodHandle handle() {
            return Objects.requireNonNull(handle);
        }

        MethodHandle capturing() {
            MethodHandle linked = capturing;
            if (linked == null) {
                linked = linked(SIX_LONGS, Linker.Option.captureCallState("errno"));
                capturing = linked;
            }
            return linked;
        }
    }

    private static final Function MMAP = new Function("mmap");
    private static final Function MUNMAP = new Function("munmap");
    private static final Function MPROTECT = new Function("mprotect");
    private static final Function MADVISE = new Function("madvise");
    private static final Function PRCTL = new Function("prctl");
    private static final Function SYSCALL = new Function("syscall");

    private static final class Mmap {
        static final MethodHandle HANDLE = MMAP.handle();
    }

    private static final class Munmap {
        static final MethodHandle HANDLE = MUNMAP.handle();
    }

    private static final class Mprotect {
        static final MethodHandle HANDLE = MPROTECT.handle();
    }

    private static final class Madvise {
        static final MethodHandle HANDLE = MADVISE.handle();
    }

    private static final class Prctl {
        static final MethodHandle HANDLE = PRCTL.handle();
    }

    private static final class Syscall {
        static final MethodHandle HANDLE = SYSCALL.handle();
    }

    private final CapturedErrno captured;
    private final long pageSize;

    /**
     * Links a first function, which fails if native access is not enabled.
     *
     * @throws IllegalCallerException if native access is not enabled
     */
    FfmBackend() {
        Function getpagesize = new Function("getpagesize");
        getpagesize.link();
        try {
            pageSize = (int) (long) getpagesize.handle().invokeExact(0L, 0L, 0L, 0L, 0L, 0L);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        captured = new CapturedErrno();
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
            MMAP.link();
        }
        try {
            long result = (long) Mmap.HANDLE.invokeExact(0L, length, (long) protection, (long) flags, -1L, 0L);
            return result == -1 ? again(MMAP, 0, length, protection, flags, -1, 0) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    @Override
    public int munmap(long address, long length) {
        if (!MUNMAP.isLinked()) {
            MUNMAP.link();
        }
        try {
            int result = (int) (long) Munmap.HANDLE.invokeExact(address, length, 0L, 0L, 0L, 0L);
            return result == 0 ? 0 : (int) again(MUNMAP, address, length, 0, 0, 0, 0);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        if (!MPROTECT.isLinked()) {
            MPROTECT.link();
        }
        try {
            int result = (int) (long) Mprotect.HANDLE.invokeExact(address, length, (long) protection, 0L, 0L, 0L);
            return result == 0 ? 0 : (int) again(MPROTECT, address, length, protection, 0, 0, 0);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    @Override
    public int madvise(long address, long length, int advice) {
        if (!MADVISE.isLinked()) {
            MADVISE.link();
        }
        try {
            int result = (int) (long) Madvise.HANDLE.invokeExact(address, length, (long) advice, 0L, 0L, 0L);
            return result == 0 ? 0 : (int) again(MADVISE, address, length, advice, 0, 0, 0);
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    /** Makes a call that has failed a second time, and returns its result or a negative errno. */
    private long again(Function function, long arg1, long arg2, long arg3, long arg4, long arg5, long arg6)
            throws Throwable {
        MethodHandle handle = function.capturing();
        int slot = captured.take();
        try {
            long result = (long) handle.invokeExact(captured.segment(slot), arg1, arg2, arg3, arg4, arg5, arg6);
            // No address of a page ends like the int -1.
            return (int) result == -1 ? -captured.errno(slot) : result;
        } finally {
            captured.giveBack(slot);
        }
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        if (!PRCTL.isLinked()) {
            PRCTL.link(FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG), 1);
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
            SYSCALL.link(SIX_LONGS, 1);
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
