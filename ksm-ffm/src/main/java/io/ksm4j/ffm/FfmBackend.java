package io.ksm4j.ffm;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.BooleanSupplier;

/**
 * The C library through {@code java.lang.foreign}. Safe: each descriptor is the C prototype of its function. Addresses are passed as plain numbers: the callers in {@code ksm-api} have
 * checked them and own the memory, so no segment is needed to keep it alive during a call.
 */
@SuppressWarnings("restricted")
final class FfmBackend implements KsmBackend {

    static final String NAME = "ffm";

    private static final Linker LINKER = Linker.nativeLinker();
    private static final MemoryLayout CAPTURE_LAYOUT = Linker.Option.captureStateLayout();
    private static final long ERRNO = CAPTURE_LAYOUT.byteOffset(PathElement.groupElement("errno"));

    /**
     * Where a call leaves its errno: one place for each thread, virtual ones too, because threads that shared one would read
     * each other's errors.
     */
    private static final ThreadLocal<MemorySegment> CAPTURED =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(CAPTURE_LAYOUT));

    /** The one that is linked at once: whether native access is enabled shows here. */
    private static final MethodHandle GETPAGESIZE =
            LINKER.downcallHandle(symbol("getpagesize"), FunctionDescriptor.of(JAVA_INT));

    /**
     * Linking a function takes milliseconds, which a program waits for at its start, so each waits for its first call. Its class is
     * loaded now: forgotten regions are reclaimed after a class loader was closed, too, and no class can be loaded then.
     */
    @SuppressWarnings("unused")
    private static final List<Class<?>> LINKED_LATER =
            List.of(Mapping.class, Mprotect.class, Madvise.class, Prctl.class, Syscall.class);

    private static final class Mapping {
        static final MethodHandle MMAP = capturing(
                "mmap",
                FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
        static final MethodHandle MUNMAP = capturing("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
    }

    private static final class Mprotect {
        static final MethodHandle HANDLE =
                capturing("mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
    }

    private static final class Madvise {
        static final MethodHandle HANDLE =
                capturing("madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
    }

    private static final class Prctl {
        static final MethodHandle HANDLE = capturing(
                "prctl",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                Linker.Option.firstVariadicArg(1));
    }

    private static final class Syscall {
        static final MethodHandle HANDLE = capturing(
                "syscall",
                FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                Linker.Option.firstVariadicArg(1));
    }

    private static MemorySegment symbol(String name) {
        return LINKER.defaultLookup()
                .find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError("the C library has no function " + name));
    }

    private static MethodHandle capturing(String name, FunctionDescriptor type, Linker.Option... more) {
        Linker.Option[] options = new Linker.Option[more.length + 1];
        System.arraycopy(more, 0, options, 1, more.length);
        options[0] = Linker.Option.captureCallState("errno");
        return LINKER.downcallHandle(symbol(name), type, options);
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public long pageSize() {
        try {
            return (int) GETPAGESIZE.invokeExact();
        } catch (Throwable t) {
            throw unexpected(t);
        }
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        MemorySegment captured = CAPTURED.get();
        long result;
        try {
            result = (long) Mapping.MMAP.invokeExact(captured, 0L, length, protection, flags, -1, 0L);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return result == -1 ? -errno(captured) : result;
    }

    @Override
    public int munmap(long address, long length) {
        MemorySegment captured = CAPTURED.get();
        int result;
        try {
            result = (int) Mapping.MUNMAP.invokeExact(captured, address, length);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return result == -1 ? -errno(captured) : result;
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        MemorySegment captured = CAPTURED.get();
        int result;
        try {
            result = (int) Mprotect.HANDLE.invokeExact(captured, address, length, protection);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return result == -1 ? -errno(captured) : result;
    }

    @Override
    public int madvise(long address, long length, int advice) {
        MemorySegment captured = CAPTURED.get();
        int result;
        try {
            result = (int) Madvise.HANDLE.invokeExact(captured, address, length, advice);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return result == -1 ? -errno(captured) : result;
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        MemorySegment captured = CAPTURED.get();
        int result;
        try {
            result = (int) Prctl.HANDLE.invokeExact(captured, option, arg2, arg3, arg4, arg5);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return result == -1 ? -errno(captured) : result;
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        MemorySegment captured = CAPTURED.get();
        long result;
        try {
            result = (long) Syscall.HANDLE.invokeExact(captured, number, arg1, arg2, arg3, arg4, arg5);
        } catch (Throwable t) {
            throw unexpected(t);
        }
        return result == -1 ? -errno(captured) : result;
    }

    @Override
    public long address(ByteBuffer direct) {
        return MemorySegment.ofBuffer(direct.duplicate().clear()).address();
    }

    @Override
    public BooleanSupplier liveness(ByteBuffer direct) {
        return MemorySegment.ofBuffer(direct).scope()::isAlive;
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        return new FfmMapping(address, length, owner);
    }

    private static int errno(MemorySegment captured) {
        return captured.get(JAVA_INT, ERRNO);
    }

    /** Handles of C functions throw nothing themselves; what comes here is an error of the JVM, such as a stack overflow. */
    private static Error unexpected(Throwable t) {
        if (t instanceof RuntimeException e) {
            throw e;
        }
        return t instanceof Error e ? e : new AssertionError(t);
    }
}
