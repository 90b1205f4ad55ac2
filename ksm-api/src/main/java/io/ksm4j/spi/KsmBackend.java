package io.ksm4j.spi;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * A binding to the C library: one method for each C function ksm4j calls, and views of the memory they hand out.
 *
 * <p>A backend checks nothing, remembers nothing and explains nothing; {@code ksm-api} does all that once for every backend.
 * The methods named after system calls report failure as the kernel does, by a negative errno, and must neither throw nor
 * allocate when the call succeeds. Every method may be called by any number of threads at once, virtual ones included.
 *
 * <p>A backend is found through its {@link KsmBackendProvider}.
 */
public interface KsmBackend {

    /**
     * The name users choose the backend by, as in {@code -Dio.ksm4j.backend=ffm}.
     *
     * @return a short lower-case name
     */
    String name();

    /**
     * {@code getpagesize(2)}.
     *
     * @return the size of a page in bytes
     */
    long pageSize();

    /**
     * {@code mmap(2)} of new memory: no wished-for address, no file, offset zero.
     *
     * @param length bytes to map
     * @param protection {@code PROT_} bits
     * @param flags {@code MAP_} bits
     * @return the address of the mapping, or a negative errno
     */
    long mmap(long length, int protection, int flags);

    /**
     * {@code munmap(2)}.
     *
     * @param address start of the range
     * @param length bytes to unmap
     * @return 0, or a negative errno
     */
    int munmap(long address, long length);

    /**
     * {@code mprotect(2)}.
     *
     * @param address start of the range
     * @param length bytes in the range
     * @param protection {@code PROT_} bits
     * @return 0, or a negative errno
     */
    int mprotect(long address, long length, int protection);

    /**
     * {@code madvise(2)}.
     *
     * @param address start of the range
     * @param length bytes in the range
     * @param advice one of the {@code MADV_} numbers
     * @return 0, or a negative errno
     */
    int madvise(long address, long length, int advice);

    /**
     * {@code prctl(2)}. The call is variadic in C, and the kernel refuses some options unless unused arguments are zero, so
     * all five are always passed.
     *
     * @param option one of the {@code PR_} numbers
     * @param arg2 second argument, or 0
     * @param arg3 third argument, or 0
     * @param arg4 fourth argument, or 0
     * @param arg5 fifth argument, or 0
     * @return what the call returns, or a negative errno
     */
    int prctl(int option, long arg2, long arg3, long arg4, long arg5);

    /**
     * {@code syscall(2)}, for calls that C libraries have no function for.
     *
     * @param number the system call's number
     * @param arg1 first argument, or 0
     * @param arg2 second argument, or 0
     * @param arg3 third argument, or 0
     * @param arg4 fourth argument, or 0
     * @param arg5 fifth argument, or 0
     * @return what the call returns, or a negative errno
     */
    long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5);

    /**
     * The address of a direct buffer's first byte, whatever its position. A backend that can tell that the buffer is a view of memory
     * confined to another thread throws {@code WrongThreadException}.
     *
     * @param direct a direct buffer
     * @return the address of index 0
     */
    long address(ByteBuffer direct);

    /**
     * How to tell whether a direct buffer's memory still exists, where the memory can be freed before the buffer is gone.
     *
     * @param direct a direct buffer
     * @return answers from any thread; says yes where that is unknown
     */
    default BooleanSupplier liveness(ByteBuffer direct) {
        return () -> true;
    }

    /**
     * Gives Java access to memory that {@link #mmap} returned.
     *
     * @param address start of the mapped memory
     * @param length bytes in it
     * @param owner an object that must stay reachable while any view of the memory is
     * @return the source of views
     */
    NativeMapping map(long address, long length, Object owner);
}
