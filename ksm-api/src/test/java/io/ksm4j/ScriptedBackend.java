// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.linux.Linux;
import io.ksm4j.spi.BufferMapping;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.NativeMapping;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A kernel that returns scripted results and records calls. Calls without a script succeed. */
final class ScriptedBackend implements KsmBackend {

    static final long PAGE = 4096;

    /** At the end of a 47-bit address space, where a real process has nothing. */
    private static final long FIRST_ADDRESS = 0x7fff_0000_0000L;

    /** The calls, for example {@code madvise 12 1000-2000}. */
    final List<String> calls = new ArrayList<>();

    private final Map<String, Deque<Long>> answers = new HashMap<>();
    private final Map<Long, ByteBuffer> buffers = new HashMap<>();
    private final long pageSize;
    private long nextAddress = FIRST_ADDRESS;

    ScriptedBackend() {
        this(PAGE);
    }

    ScriptedBackend(long pageSize) {
        this.pageSize = pageSize;
    }

    /** Sets the results of the next calls of a function. Later calls succeed again. */
    ScriptedBackend answer(String function, long... results) {
        Arrays.stream(results)
                .forEach(result -> answers.computeIfAbsent(function, name -> new ArrayDeque<>())
                        .add(result));
        return this;
    }

    List<String> calls(String function) {
        return calls.stream().filter(call -> call.startsWith(function)).toList();
    }

    private long result(String function, long success) {
        Deque<Long> scripted = answers.get(function);
        return scripted == null || scripted.isEmpty() ? success : scripted.remove();
    }

    private static String range(long address, long length) {
        return Long.toHexString(address) + "-" + Long.toHexString(address + length);
    }

    @Override
    public String name() {
        return "scripted";
    }

    @Override
    public long pageSize() {
        return pageSize;
    }

    @Override
    public long mmap(long length, int protection, int flags) {
        long address = nextAddress;
        nextAddress += length + pageSize;
        if (isForBuffer()) {
            return address;
        }
        calls.add("mmap " + length);
        return result("mmap", address);
    }

    /** Buffers for ranges and names are not recorded. */
    private static boolean isForBuffer() {
        return StackWalker.getInstance()
                .walk(frames -> frames.anyMatch(frame -> frame.getClassName().equals(NativeBuffers.class.getName())));
    }

    @Override
    public int munmap(long address, long length) {
        calls.add("munmap " + range(address, length));
        return (int) result("munmap", 0);
    }

    @Override
    public int mprotect(long address, long length, int protection) {
        calls.add("mprotect " + range(address, length));
        return (int) result("mprotect", 0);
    }

    @Override
    public int madvise(long address, long length, int advice) {
        calls.add("madvise " + advice + " " + range(address, length));
        return (int) result("madvise " + advice, 0);
    }

    @Override
    public int prctl(int option, long arg2, long arg3, long arg4, long arg5) {
        calls.add("prctl " + option + " " + arg2);
        return (int) result("prctl " + option, 0);
    }

    @Override
    public long syscall(long number, long arg1, long arg2, long arg3, long arg4, long arg5) {
        if (number != Linux.SYS_PROCESS_MADVISE) {
            calls.add("syscall " + number + " " + arg1);
            return result("syscall " + number, 0);
        }
        ByteBuffer iovecs = buffers.get(arg2).duplicate().order(ByteOrder.nativeOrder());
        List<String> ranges = new ArrayList<>();
        long bytes = 0;
        for (int i = 0; i < arg3; i++) {
            long address = iovecs.getLong(16 * i);
            long length = iovecs.getLong(16 * i + 8);
            ranges.add(range(address, length));
            bytes += length;
        }
        calls.add("process_madvise " + arg1 + " " + arg4 + " " + ranges);
        return result("process_madvise", bytes);
    }

    @Override
    public long address(ByteBuffer direct) {
        long address = nextAddress;
        nextAddress += direct.capacity() + PAGE;
        buffers.put(address, direct.duplicate().clear());
        return address;
    }

    @Override
    public NativeMapping map(long address, long length, Object owner) {
        return new BufferMapping(
                address, (from, size) -> buffers.computeIfAbsent(from, at -> ByteBuffer.allocateDirect(size)), owner);
    }
}
