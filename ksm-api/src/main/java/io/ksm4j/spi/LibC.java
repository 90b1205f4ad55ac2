package io.ksm4j.spi;

/**
 * The C functions as C has them: they return -1 and leave an error number for the calling thread. For bindings that implement an
 * interface or native methods at run time; {@link LibCBackend} makes a backend of them.
 *
 * <p>A Java {@code long} stands for {@code long}, {@code size_t}, {@code off_t} and pointers, which are all 64 bits wide where
 * ksm4j runs. Variadic functions are declared with the arguments they get: on the 64-bit ABIs of Linux integers travel the same
 * way whether an argument is variadic or not.
 */
public interface LibC {

    /**
     * {@code getpagesize(2)}.
     *
     * @return bytes
     */
    int getpagesize();

    /**
     * {@code mmap(2)}.
     *
     * @param address wished-for address
     * @param length bytes
     * @param protection {@code PROT_} bits
     * @param flags {@code MAP_} bits
     * @param fd file descriptor
     * @param offset offset in the file
     * @return address, or -1
     */
    long mmap(long address, long length, int protection, int flags, int fd, long offset);

    /**
     * {@code munmap(2)}.
     *
     * @param address start
     * @param length bytes
     * @return 0 or -1
     */
    int munmap(long address, long length);

    /**
     * {@code mprotect(2)}.
     *
     * @param address start
     * @param length bytes
     * @param protection {@code PROT_} bits
     * @return 0 or -1
     */
    int mprotect(long address, long length, int protection);

    /**
     * {@code madvise(2)}.
     *
     * @param address start
     * @param length bytes
     * @param advice a {@code MADV_} number
     * @return 0 or -1
     */
    int madvise(long address, long length, int advice);

    /**
     * {@code prctl(2)}.
     *
     * @param option a {@code PR_} number
     * @param arg2 second argument
     * @param arg3 third argument
     * @param arg4 fourth argument
     * @param arg5 fifth argument
     * @return the result, or -1
     */
    int prctl(int option, long arg2, long arg3, long arg4, long arg5);

    /**
     * {@code syscall(2)}.
     *
     * @param number the system call's number
     * @param arg1 first argument
     * @param arg2 second argument
     * @param arg3 third argument
     * @param arg4 fourth argument
     * @param arg5 fifth argument
     * @return the result, or -1
     */
    long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5);
}
