// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.Architecture;
import io.ksm4j.tools.linux.ProcessStatus;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;

/**
 * The initial thread of this process, which waits in the launcher {@code java} until the JVM ends. On {@code execve}, a
 * program keeps the calling thread's attributes, such as the parent-death signal, which other threads do not have.
 * Therefore a signal makes the initial thread call {@code execve}, in a handler written in machine code.
 */
final class FirstThread implements SystemCall {

    /** Makes the system call in {@link #block} and returns. */
    private static final byte[] HANDLER_AMD64 = bytes(
            0x48,
            0xbb,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0, // mov rbx, block
            0x48,
            0x8b,
            0x03, //                   mov rax, [rbx]
            0x48,
            0x8b,
            0x7b,
            0x08, //             mov rdi, [rbx+8]
            0x48,
            0x8b,
            0x73,
            0x10, //             mov rsi, [rbx+16]
            0x48,
            0x8b,
            0x53,
            0x18, //             mov rdx, [rbx+24]
            0x0f,
            0x05, //                         syscall
            0x48,
            0x89,
            0x43,
            0x20, //             mov [rbx+32], rax
            0xc3, //                               ret
            // The handler returns to this code:
            0xb8,
            0x0f,
            0,
            0,
            0, //                mov eax, 15 (rt_sigreturn)
            0x0f,
            0x05); //                        syscall

    private static final int BLOCK_IN_AMD64 = 2;
    private static final int RESTORER_IN_AMD64 = 32;

    private static final byte[] HANDLER_AARCH64 = bytes(
            0x09, 0x01, 0x00, 0x58, // ldr x9, block
            0x28, 0x01, 0x40, 0xf9, // ldr x8, [x9]
            0x20, 0x05, 0x40, 0xf9, // ldr x0, [x9, 8]
            0x21, 0x09, 0x40, 0xf9, // ldr x1, [x9, 16]
            0x22, 0x0d, 0x40, 0xf9, // ldr x2, [x9, 24]
            0x01, 0x00, 0x00, 0xd4, // svc 0
            0x20, 0x11, 0x00, 0xf9, // str x0, [x9, 32]
            0xc0, 0x03, 0x5f, 0xd6, // ret
            0, 0, 0, 0, 0, 0, 0, 0); // block

    private static final int BLOCK_IN_AARCH64 = 32;

    private static final int PROT_READ = 1;
    private static final int PROT_WRITE = 2;
    private static final int PROT_EXEC = 4;
    private static final int MAP_PRIVATE_ANONYMOUS = 0x22;

    private static final int TGKILL = Architecture.AARCH64 ? 131 : 234;

    private static final long SA_RESTORER = 0x04000000;
    private static final long SA_NODEFER = 0x40000000;

    private static final int MIN_FREE_SIGNAL = 34;
    private static final int MAX_SIGNAL = 64;

    /** Not the result of any system call: errors are from -4095 to -1. */
    private static final long PENDING = Long.MIN_VALUE;

    private static final int RESULT = 32;

    private static final VarHandle LONGS = MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.nativeOrder());

    private final KsmBackend backend;
    private final int signal;

    /** The number of the system call, three arguments and the result. */
    private final ByteBuffer block =
            ByteBuffer.allocateDirect(RESULT + Long.BYTES).order(ByteOrder.nativeOrder());

    private FirstThread(KsmBackend backend, int signal) {
        this.backend = backend;
        this.signal = signal;
    }

    /** Returns empty if no signal is free, executable memory is forbidden, or the architecture is not supported. */
    static Optional<SystemCall> open(KsmBackend backend) throws IOException {
        ProcessStatus status = ProcessStatus.read(
                Path.of("/proc/self/task", Long.toString(ProcessHandle.current().pid())));
        long taken = status.signals("SigBlk") | status.signals("SigIgn") | status.signals("SigCgt");
        int signal = MAX_SIGNAL;
        while (signal >= MIN_FREE_SIGNAL && (taken & (1L << (signal - 1))) != 0) {
            signal--;
        }
        boolean hasEnded = status.field("State").startsWith("Z");
        if (signal < MIN_FREE_SIGNAL || hasEnded || !(Architecture.AARCH64 || Architecture.AMD64)) {
            return Optional.empty();
        }
        FirstThread thread = new FirstThread(backend, signal);
        return thread.install() ? Optional.of(thread) : Optional.empty();
    }

    private boolean install() {
        byte[] code = (Architecture.AARCH64 ? HANDLER_AARCH64 : HANDLER_AMD64).clone();
        ByteBuffer.wrap(code)
                .order(ByteOrder.nativeOrder())
                .putLong(Architecture.AARCH64 ? BLOCK_IN_AARCH64 : BLOCK_IN_AMD64, backend.address(block));
        long page = backend.pageSize();
        long handler = backend.mmap(page, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS);
        if (handler < 0) {
            return false;
        }
        backend.map(handler, page, this).buffer(0, code.length).put(code);
        if (backend.mprotect(handler, page, PROT_READ | PROT_EXEC) < 0) {
            return false;
        }
        // The handler blocks no signals beyond those of the thread, because the program inherits them.
        SignalAction action = Architecture.AARCH64
                ? new SignalAction(handler, SA_NODEFER, 0)
                : new SignalAction(handler, SA_NODEFER | SA_RESTORER, handler + RESTORER_IN_AMD64);
        return action.install(backend, signal);
    }

    /** Makes the call and waits for its result. */
    @Override
    public long call(long number, long arg1, long arg2, long arg3) {
        block.clear().putLong(number).putLong(arg1).putLong(arg2).putLong(arg3);
        LONGS.setVolatile(block, RESULT, PENDING);
        long pid = ProcessHandle.current().pid();
        try {
            long sent = backend.syscall(TGKILL, pid, pid, signal, 0, 0);
            if (sent < 0) {
                return backend.syscall(number, arg1, arg2, arg3, 0, 0);
            }
            long result = PENDING;
            while (result == PENDING) {
                LockSupport.parkNanos(100_000);
                result = (long) LONGS.getVolatile(block, RESULT);
            }
            return result;
        } finally {
            Reference.reachabilityFence(block);
        }
    }

    private static byte[] bytes(int... values) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) {
            bytes[i] = (byte) values[i];
        }
        return bytes;
    }
}
