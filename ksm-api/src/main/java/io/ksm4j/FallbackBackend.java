// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/** Memory of another backend, without merging: advice about merging succeeds and never reaches the kernel. */
final class FallbackBackend implements KsmBackend {

    private final KsmBackend memory;

    /** Why regions are fallback regions, in words. */
    final String reason;

    private volatile boolean processMergeable;

    FallbackBackend(KsmBackend memory, String reason) {
        this.memory = memory;
        this.reason = reason;
    }

    /** {@return whether {@code -XX:MaxDirectMemorySize} limits its memory} */
    boolean isDirect() {
        return memory instanceof DirectBufferBackend;
    }

    @Override
    public String name() {
        return "fallback";
    }

    @Override
    public long pageSize() {
        return memory.pageSize();
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        return memory.mmap(length, protection, flags);
    }

    @Override
    public int munmap(long address, long length) {
        return memory.munmap(address, length);
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        return memory.mprotect(address, length, protection);
    }

    @Override
    public int madvise(long address, long length, int advice) {
        return advice == Linux.MADV_MERGEABLE || advice == Linux.MADV_UNMERGEABLE
                ? 0
                : memory.madvise(address, length, advice);
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        return switch (option) {
            case Linux.PR_SET_MEMORY_MERGE -> {
                processMergeable = arg2 == 1;
                yield 0;
            }
            case Linux.PR_GET_MEMORY_MERGE -> processMergeable ? 1 : 0;
            default -> memory.prctl(option, arg2, arg3, arg4, arg5);
        };
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        return -Linux.ENOSYS;
    }

    @Override
    public long address(ByteBuffer direct) {
        return memory.address(direct);
    }

    @Override
    public BooleanSupplier liveness(ByteBuffer direct) {
        return memory.liveness(direct);
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        return memory.map(address, length, owner);
    }
}
