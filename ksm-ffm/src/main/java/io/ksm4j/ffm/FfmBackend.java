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
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BooleanSupplier;

/**
 * The C library through {@code java.lang.foreign}. Safe: each descriptor is the C prototype of its function. Addresses are passed as plain numbers: the callers in {@code ksm-api} have
 * checked them and own the memory, so no segment is needed to keep it alive during a call.
 *
 * <p>Linking a function takes milliseconds, which a program waits for at its start, so each waits for its first call. A handle is as fast as C only in a
 * {@code static final} field, and an initializer that fails once has failed for the life of the JVM. So {@link #link} links, which may fail and be
 * tried again, and the initializer of the class that keeps the handle only takes what was linked.
 */
@SuppressWarnings("restricted")
final class FfmBackend implements KsmBackend {

    static final String NAME = "ffm";

    private static final Map<String, MethodHandle> LINKED = new ConcurrentHashMap<>();

    private static final class Mmap {
        static final MethodHandle HANDLE = linked("mmap");
    }

    private static final class Munmap {
        static final MethodHandle HANDLE = linked("munmap");
    }

    private static final class Mprotect {
        static final MethodHandle HANDLE = linked("mprotect");
    }

    private static final class Madvise {
        static final MethodHandle HANDLE = linked("madvise");
    }

    private static final class Prctl {
        static final MethodHandle HANDLE = linked("prctl");
    }

    private static final class Syscall {
        static final MethodHandle HANDLE = linked("syscall");
    }

    // Whether the handle was linked. A thread that sees an old value links once more, which does no harm.
    private static boolean mmapLinked;
    private static boolean munmapLinked;
    private static boolean mprotectLinked;
    private static boolean madviseLinked;
    private static boolean prctlLinked;
    private static boolean syscallLinked;

    private static MethodHandle linked(String name) {
        return Objects.requireNonNull(LINKED.get(name));
    }

    private final CapturedErrno captured;
    private final long pageSize;

    /**
     * Links a first function: whether native access is enabled shows here.
     *
     * @throws IllegalCallerException if it is not
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

    private static void link(String name, FunctionDescriptor type, Linker.Option... more) {
        Linker linker = Linker.nativeLinker();
        Linker.Option[] options = new Linker.Option[more.length + 1];
        System.arraycopy(more, 0, options, 1, more.length);
        options[0] = Linker.Option.captureCallState("errno");
        LINKED.putIfAbsent(name, linker.downcallHandle(symbol(linker, name), type, options));
    }

    private static void linkMmap() {
        link("mmap", FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG));
        mmapLinked = true;
    }

    private static void linkMunmap() {
        link("munmap", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG));
        munmapLinked = true;
    }

    private static void linkMprotect() {
        link("mprotect", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        mprotectLinked = true;
    }

    private static void linkMadvise() {
        link("madvise", FunctionDescriptor.of(JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT));
        madviseLinked = true;
    }

    private static void linkPrctl() {
        link(
                "prctl",
                FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                Linker.Option.firstVariadicArg(1));
        prctlLinked = true;
    }

    private static void linkSyscall() {
        link(
                "syscall",
                FunctionDescriptor.of(JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG),
                Linker.Option.firstVariadicArg(1));
        syscallLinked = true;
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
        if (!mmapLinked) {
            linkMmap();
        }
        int place = captured.take();
        try {
            long result =
                    (long) Mmap.HANDLE.invokeExact(captured.segment(place), 0L, length, protection, flags, -1, 0L);
            return result == -1 ? -captured.errno(place) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(place);
        }
    }

    @Override
    public int munmap(long address, long length) {
        if (!munmapLinked) {
            linkMunmap();
        }
        int place = captured.take();
        try {
            int result = (int) Munmap.HANDLE.invokeExact(captured.segment(place), address, length);
            return result == -1 ? -captured.errno(place) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(place);
        }
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        if (!mprotectLinked) {
            linkMprotect();
        }
        int place = captured.take();
        try {
            int result = (int) Mprotect.HANDLE.invokeExact(captured.segment(place), address, length, protection);
            return result == -1 ? -captured.errno(place) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(place);
        }
    }

    @Override
    public int madvise(long address, long length, int advice) {
        if (!madviseLinked) {
            linkMadvise();
        }
        int place = captured.take();
        try {
            int result = (int) Madvise.HANDLE.invokeExact(captured.segment(place), address, length, advice);
            return result == -1 ? -captured.errno(place) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(place);
        }
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        if (!prctlLinked) {
            linkPrctl();
        }
        int place = captured.take();
        try {
            int result = (int) Prctl.HANDLE.invokeExact(captured.segment(place), option, arg2, arg3, arg4, arg5);
            return result == -1 ? -captured.errno(place) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(place);
        }
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        if (!syscallLinked) {
            linkSyscall();
        }
        int place = captured.take();
        try {
            long result =
                    (long) Syscall.HANDLE.invokeExact(captured.segment(place), number, arg1, arg2, arg3, arg4, arg5);
            return result == -1 ? -captured.errno(place) : result;
        } catch (Throwable t) {
            throw unexpected(t);
        } finally {
            captured.giveBack(place);
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

    /** Handles of C functions throw nothing themselves; what comes here is an error of the JVM, such as a stack overflow. */
    private static Error unexpected(Throwable t) {
        if (t instanceof RuntimeException e) {
            throw e;
        }
        return t instanceof Error e ? e : new AssertionError(t);
    }
}
