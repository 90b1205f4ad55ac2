// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * A binding to the C library: one method for each C function that ksm4j calls, and views of the memory they return.
 *
 * <p>A backend does not validate arguments, keep state or explain errors; {@code ksm-api} does that once for all
 * backends. Methods named after system calls report failure as the kernel does, by a negative errno. They must not
 * throw, and must not allocate Java objects if the call succeeds. All methods must be safe for use by multiple threads,
 * including virtual ones.
 *
 * <p>Backends are created by a {@link KsmBackendProvider}.
 *
 * @since 0.1.0
 */
public interface KsmBackend {

    /**
     * Returns the name by which users select this backend, as in {@code -Dio.ksm4j.backend=ffm}.
     *
     * @return a short lower-case name
     */
    String name();

    /** {@return the page size in bytes, from {@code getpagesize(2)}} */
    long pageSize();

    /**
     * Calls {@code mmap(2)} to map new memory, with no address hint, no file, and offset zero.
     *
     * @param length the number of bytes to map
     * @param protection {@code PROT_} flags
     * @param flags {@code MAP_} flags
     * @return the address of the mapping, or a negative errno
     */
    long mmap(long length, int protection, int flags);

    /**
     * Calls {@code munmap(2)}.
     *
     * @param address the start of the range
     * @param length the number of bytes to unmap
     * @return 0, or a negative errno
     */
    int munmap(long address, long length);

    /**
     * Calls {@code mprotect(2)}.
     *
     * @param address the start of the range
     * @param length the number of bytes in the range
     * @param protection {@code PROT_} flags
     * @return 0, or a negative errno
     */
    int mprotect(long address, long length, int protection);

    /**
     * Calls {@code madvise(2)}.
     *
     * @param address the start of the range
     * @param length the number of bytes in the range
     * @param advice one of the {@code MADV_} constants
     * @return 0, or a negative errno
     */
    int madvise(long address, long length, int advice);

    /**
     * Calls {@code prctl(2)}. The function is variadic in C, and the kernel rejects some options unless unused
     * arguments are zero, so all five arguments are always passed.
     *
     * @param option one of the {@code PR_} constants
     * @param arg2 the second argument, or 0
     * @param arg3 the third argument, or 0
     * @param arg4 the fourth argument, or 0
     * @param arg5 the fifth argument, or 0
     * @return the result of the call, or a negative errno
     */
    int prctl(int option, long arg2, long arg3, long arg4, long arg5);

    /**
     * Calls {@code syscall(2)}, for system calls without a function in the C library.
     *
     * @param number the number of the system call
     * @param arg1 the first argument, or 0
     * @param arg2 the second argument, or 0
     * @param arg3 the third argument, or 0
     * @param arg4 the fourth argument, or 0
     * @param arg5 the fifth argument, or 0
     * @return the result of the call, or a negative errno
     */
    long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5);

    /**
     * Returns the address of a direct buffer's first byte, regardless of its position. If the buffer is a view of
     * memory confined to another thread, a backend that can detect that throws {@code WrongThreadException}.
     *
     * @param direct a direct buffer
     * @return the address of index 0
     */
    long address(ByteBuffer direct);

    /**
     * Returns a check of whether a direct buffer's memory still exists, for memory that can be freed while the buffer
     * is still reachable.
     *
     * @param direct a direct buffer
     * @return a check that may be called on any thread; it returns true if the backend cannot tell
     */
    default BooleanSupplier liveness(ByteBuffer direct) {
        return () -> true;
    }

    /**
     * Gives Java access to memory returned by {@link #mmap}.
     *
     * @param address the start of the mapped memory
     * @param length its length in bytes
     * @param owner an object to keep reachable while any view of the memory is reachable
     * @return the source of views
     */
    NativeMapping map(long address, long length, Object owner);
}
