// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.calls;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import io.ksm4j.MergeRegion;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Stream;
import net.openhft.posix.PosixAPI;

/** The compared ways to mark a range. Each name begins with the name of a backend. */
enum Binding {
    FFM_SPI("ffm", "SPI"),
    FFM_API("ffm", "public API"),
    FFM_ARENA("ffm", "MergeableArena.ofConfined"),
    FFM_BY_HAND("ffm", "method handle called directly, errno captured in an arena per call"),
    FFM_BY_HAND_NO_ERRNO("ffm", "method handle called directly, errno not captured"),
    JNR_SPI("jnr", "SPI"),
    JNR_API("jnr", "public API"),
    JNR_OPENHFT("jnr", "OpenHFT posix"),
    JNA_SPI("jna", "SPI"),
    JNA_API("jna", "public API"),
    JNA_INTERFACE("jna", "interface mapping");

    static final List<Binding> APIS = List.of(FFM_API, JNR_API, JNA_API);

    /** The ways to mark a range. */
    static final List<Binding> CALLS =
            Stream.of(values()).filter(binding -> binding != FFM_ARENA).toList();

    /** The ways to allocate a range. */
    static final List<Binding> ALLOCATIONS = List.of(FFM_API, FFM_ARENA, FFM_SPI, JNR_API, JNA_API);

    private final String technology;
    private final String variant;

    Binding(String technology, String variant) {
        this.technology = technology;
        this.variant = variant;
    }

    String technology() {
        return technology;
    }

    String variant() {
        return variant;
    }

    /** Returns the backend that uses the same technology. */
    KsmBackend backend() {
        return ServiceLoader.load(KsmBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals(technology))
                .findFirst()
                .orElseThrow()
                .open();
    }

    /** Returns a marker for a region, which must stay open while the marker is used. */
    RangeMarker marker(KsmBackend backend, MergeRegion region) {
        long address = region.range().start();
        long length = region.range().length();
        return switch (this) {
            case FFM_API, FFM_ARENA, JNR_API, JNA_API -> new ThroughApi(region);
            case FFM_SPI, JNR_SPI, JNA_SPI -> new ThroughSpi(backend, address, length);
            case FFM_BY_HAND -> new ByHand(MemorySegment.ofAddress(address), length);
            case FFM_BY_HAND_NO_ERRNO -> new ByHandNoErrno(MemorySegment.ofAddress(address), length);
            case JNR_OPENHFT -> new OpenHft(PosixAPI.posix(), address, length);
            case JNA_INTERFACE ->
                new JnaInterface(Native.load("c", CLibrary.class), new Pointer(address), new NativeLong(length));
        };
    }

    private static void require(boolean succeeded) {
        if (!succeeded) {
            throw new IllegalStateException("madvise failed");
        }
    }

    private record ThroughApi(MergeRegion region) implements RangeMarker {

        @Override
        public void madvise(int advice) {
            if (advice == MADV_MERGEABLE) {
                region.markMergeable();
            } else {
                region.markUnmergeable();
            }
        }
    }

    private record ThroughSpi(KsmBackend backend, long address, long length) implements RangeMarker {

        @Override
        public void madvise(int advice) {
            require(backend.madvise(address, length, advice) == 0);
        }
    }

    /**
     * Written like common examples: the address is a segment, and errno is captured in memory allocated for the call.
     */
    @SuppressWarnings("restricted")
    private record ByHand(MemorySegment range, long length) implements RangeMarker {

        private static final MemoryLayout CAPTURED = Linker.Option.captureStateLayout();
        private static final VarHandle ERRNO = CAPTURED.varHandle(MemoryLayout.PathElement.groupElement("errno"));
        private static final MethodHandle MADVISE =
                Linker.nativeLinker().downcallHandle(symbol(), DESCRIPTOR, Linker.Option.captureCallState("errno"));

        @Override
        public void madvise(int advice) {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment captured = arena.allocate(CAPTURED);
                int result = (int) MADVISE.invokeExact(captured, range, length, advice);
                if (result != 0) {
                    throw new IllegalStateException("madvise failed with errno " + (int) ERRNO.get(captured, 0L));
                }
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new AssertionError(e);
            }
        }
    }

    /** The cheapest call. It cannot report the reason of a failure. */
    @SuppressWarnings("restricted")
    private record ByHandNoErrno(MemorySegment range, long length) implements RangeMarker {

        private static final MethodHandle MADVISE = Linker.nativeLinker().downcallHandle(symbol(), DESCRIPTOR);

        @Override
        public void madvise(int advice) {
            try {
                require((int) MADVISE.invokeExact(range, length, advice) == 0);
            } catch (RuntimeException | Error e) {
                throw e;
            } catch (Throwable e) {
                throw new AssertionError(e);
            }
        }
    }

    private static final FunctionDescriptor DESCRIPTOR = FunctionDescriptor.of(
            ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT);

    private static MemorySegment symbol() {
        return Linker.nativeLinker().defaultLookup().find("madvise").orElseThrow();
    }

    private record OpenHft(PosixAPI posix, long address, long length) implements RangeMarker {

        @Override
        public void madvise(int advice) {
            require(posix.madvise(address, length, advice) == 0);
        }
    }

    /** Public because JNA generates the class that implements it. */
    public interface CLibrary extends Library {

        int madvise(Pointer address, NativeLong length, int advice);
    }

    private record JnaInterface(CLibrary c, Pointer range, NativeLong length) implements RangeMarker {

        @Override
        public void madvise(int advice) {
            require(c.madvise(range, length, advice) == 0);
        }
    }
}
