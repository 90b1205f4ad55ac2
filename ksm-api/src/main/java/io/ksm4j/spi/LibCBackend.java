// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

import java.nio.ByteBuffer;

/**
 * A backend based on C functions that set errno for the calling thread, and on buffers that cannot be revoked.
 *
 * @since 0.1.0
 */
public abstract class LibCBackend implements KsmBackend {

    private final String name;
    private final LibC libC;
    private final long pageSize;

    /**
     * Creates the backend.
     *
     * @param name the name of the backend
     * @param libC the C functions
     */
    protected LibCBackend(String name, LibC libC) {
        this.name = name;
        this.libC = libC;
        this.pageSize = libC.getpagesize();
    }

    /**
     * Returns the error number of the calling thread's last call.
     *
     * @return a positive errno
     */
    protected abstract int lastError();

    /**
     * Creates a direct buffer that does not own its memory.
     *
     * @param address the address of its first byte
     * @param length its capacity in bytes
     * @return a new direct buffer
     */
    protected abstract ByteBuffer newDirectByteBuffer(long address, int length);

    @Override
    public final String name() {
        return name;
    }

    @Override
    public final long pageSize() {
        return pageSize;
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        return orError(libC.mmap(0, length, protection, flags, -1, 0));
    }

    @Override
    public final int munmap(long address, long length) {
        return orError(libC.munmap(address, length));
    }

    @Override
    public final int mprotect(long address, long length, int protection) {
        return orError(libC.mprotect(address, length, protection));
    }

    @Override
    public final int madvise(long address, long length, int advice) {
        return orError(libC.madvise(address, length, advice));
    }

    @Override
    public final int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        return orError(libC.prctl(option, arg2, arg3, arg4, arg5));
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        return orError(libC.syscall(number, arg1, arg2, arg3, arg4, arg5));
    }

    @Override
    public final NativeMapping map(long address, long length, Object owner) {
        return new BufferMapping(address, this::newDirectByteBuffer, owner);
    }

    /**
     * Converts the result of a C function to the kernel's convention.
     *
     * @param result the result; -1 if the function failed
     * @return the result, or a negative errno
     */
    protected final long orError(long result) {
        return result == -1 ? -lastError() : result;
    }

    private int orError(int result) {
        return result == -1 ? -lastError() : result;
    }
}
