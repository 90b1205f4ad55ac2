// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.spi;

/**
 * C functions with the C calling convention for errors: they return -1 and leave the error number in the calling
 * thread's errno. For bindings that implement an interface or native methods at run time; {@link LibCBackend} turns
 * them into a backend.
 *
 * <p>A Java {@code long} stands for {@code long}, {@code size_t}, {@code off_t} and pointers, all of which are 64 bits
 * wide on the platforms ksm4j supports. Variadic functions are declared with the arguments they are called with: on the
 * 64-bit ABIs of Linux, integers are passed the same way whether an argument is variadic or not.
 *
 * @since 0.1.0
 */
public interface LibC {

    /** {@return the page size in bytes, from {@code getpagesize(2)}} */
    int getpagesize();

    /**
     * Calls {@code mmap(2)}.
     *
     * @param address the address hint, or 0
     * @param length the number of bytes
     * @param protection {@code PROT_} flags
     * @param flags {@code MAP_} flags
     * @param fd the file descriptor, or -1
     * @param offset the offset in the file
     * @return the address, or -1
     */
    long mmap(long address, long length, int protection, int flags, int fd, long offset);

    /**
     * Calls {@code munmap(2)}.
     *
     * @param address the start of the range
     * @param length the number of bytes
     * @return 0 or -1
     */
    int munmap(long address, long length);

    /**
     * Calls {@code mprotect(2)}.
     *
     * @param address the start of the range
     * @param length the number of bytes
     * @param protection {@code PROT_} flags
     * @return 0 or -1
     */
    int mprotect(long address, long length, int protection);

    /**
     * Calls {@code madvise(2)}.
     *
     * @param address the start of the range
     * @param length the number of bytes
     * @param advice a {@code MADV_} constant
     * @return 0 or -1
     */
    int madvise(long address, long length, int advice);

    /**
     * Calls {@code prctl(2)}.
     *
     * @param option a {@code PR_} constant
     * @param arg2 the second argument
     * @param arg3 the third argument
     * @param arg4 the fourth argument
     * @param arg5 the fifth argument
     * @return the result, or -1
     */
    int prctl(int option, long arg2, long arg3, long arg4, long arg5);

    /**
     * Calls {@code syscall(2)}.
     *
     * @param number the number of the system call
     * @param arg1 the first argument
     * @param arg2 the second argument
     * @param arg3 the third argument
     * @param arg4 the fourth argument
     * @param arg5 the fifth argument
     * @return the result, or -1
     */
    long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5);
}
