// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.jna;

import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import io.ksm4j.spi.LibC;
import io.ksm4j.spi.LibCBackend;
import java.nio.ByteBuffer;

/** The C library through JNA's direct mapping. */
final class JnaBackend extends LibCBackend {

    static final String NAME = "jna";

    /** JNA binds each native method to the C function of the same name. */
    private static final class DirectMapping implements LibC {

        @Override
        public native int getpagesize();

        @Override
        public native long mmap(long address, long length, int protection, int flags, int fd, long offset);

        @Override
        public native int munmap(long address, long length);

        @Override
        public native int mprotect(long address, long length, int protection);

        @Override
        public native int madvise(long address, long length, int advice);

        @Override
        public native int prctl(int option, long arg2, long arg3, long arg4, long arg5);

        @Override
        public native long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5);
    }

    JnaBackend() {
        super(NAME, bind());
    }

    /** Not in a static initializer, since one that fails once, for lack of memory, fails for the life of the JVM. */
    private static LibC bind() {
        // Searches all libraries of the process, whatever the name of the C library.
        Native.register(DirectMapping.class, NativeLibrary.getProcess());
        return new DirectMapping();
    }

    @Override
    protected int lastError() {
        return Native.getLastError();
    }

    @Override
    public long address(ByteBuffer direct) {
        return Pointer.nativeValue(Native.getDirectBufferPointer(direct));
    }

    @Override
    protected ByteBuffer newDirectByteBuffer(long address, int length) {
        return new Pointer(address).getByteBuffer(0, length);
    }
}
