// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.jnr;

import com.kenai.jffi.MemoryIO;
import io.ksm4j.spi.LibC;
import io.ksm4j.spi.LibCBackend;
import java.nio.ByteBuffer;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;
import org.jspecify.annotations.Nullable;

/** The C library through jnr-ffi, which implements {@link Functions} at run time. */
final class JnrBackend extends LibCBackend {

    static final String NAME = "jnr";

    /** Public, and in this module, because jnr-ffi defines its implementation in a child class loader of this one. */
    public interface Functions extends LibC {

        /**
         * {@code mmap(2)}, with a pointer as its first argument. For functions that take only numbers, jnr-ffi 2.3.4
         * generates machine code on x86-64 that passes garbage as the sixth argument (<a
         * href="https://github.com/jnr/jnr-ffi/issues/181">jnr-ffi issue 181</a>). With a pointer among the arguments,
         * it uses a slower implementation, which is correct.
         *
         * @param address requested address
         * @param length size in bytes
         * @param protection {@code PROT_} bits
         * @param flags {@code MAP_} bits
         * @param fd file descriptor
         * @param offset offset in the file
         * @return address, or -1
         */
        long mmap(@Nullable Pointer address, long length, int protection, int flags, int fd, long offset);

        /**
         * {@code syscall(2)}, which has six arguments, too, and so takes a pointer as the last one.
         *
         * @param number system call number
         * @param arg1 first argument
         * @param arg2 second argument
         * @param arg3 third argument
         * @param arg4 fourth argument
         * @param arg5 fifth argument; null for 0
         * @return the result, or -1
         */
        long syscall(long number, long arg1, long arg2, long arg3, long arg4, @Nullable Pointer arg5);
    }

    private final MemoryIO memory = MemoryIO.getInstance();
    private final Functions functions;
    private final Runtime runtime;

    JnrBackend() {
        this(LibraryLoader.create(Functions.class).load("c"));
    }

    private JnrBackend(Functions functions) {
        super(NAME, functions);
        this.functions = functions;
        this.runtime = Runtime.getRuntime(functions);
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        return orError(functions.mmap(null, length, protection, flags, -1, 0));
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        Pointer last = arg5 == 0 ? null : Pointer.wrap(runtime, arg5);
        return orError(functions.syscall(number, arg1, arg2, arg3, arg4, last));
    }

    @Override
    protected int lastError() {
        return runtime.getLastError();
    }

    @Override
    public long address(ByteBuffer direct) {
        return memory.getDirectBufferAddress(direct);
    }

    @Override
    protected ByteBuffer newDirectByteBuffer(long address, int length) {
        return memory.newDirectByteBuffer(address, length);
    }
}
