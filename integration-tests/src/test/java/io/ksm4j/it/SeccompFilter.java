package io.ksm4j.it;

import io.ksm4j.spi.KsmBackend;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * Answers chosen system calls of all threads with a chosen errno, in the kernel (seccomp(2)). A filter cannot be removed; of
 * several that answer the same call, the one installed last does.
 */
final class SeccompFilter {

    private static final boolean AARCH64 = System.getProperty("os.arch").equals("aarch64");

    static final int MMAP = AARCH64 ? 222 : 9;
    static final int MPROTECT = AARCH64 ? 226 : 10;
    static final int MUNMAP = AARCH64 ? 215 : 11;
    static final int MADVISE = AARCH64 ? 233 : 28;
    static final int PRCTL = AARCH64 ? 167 : 157;
    static final int PROCESS_MADVISE = 440;
    private static final int SECCOMP = AARCH64 ? 277 : 317;

    private static final int PR_SET_NO_NEW_PRIVS = 38;
    private static final int SECCOMP_SET_MODE_FILTER = 1;
    private static final int SECCOMP_FILTER_FLAG_TSYNC = 1;
    private static final int SECCOMP_RET_ALLOW = 0x7fff_0000;
    private static final int SECCOMP_RET_ERRNO = 0x0005_0000;

    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
    private static final int LOAD = 0x20;
    private static final int JUMP_IF_EQUAL = 0x15;
    private static final int RETURN = 0x06;

    /** Of struct seccomp_data: the number of the call is its first word, the arguments start at 16. */
    private static final int ARGUMENTS = 16;

    private record Instruction(int code, int jumpIfFalse, int operand) {}

    private final List<Instruction> program = new ArrayList<>();

    /** Answers a call whose arguments have these values: pairs of an argument's index and the low half of its value. */
    SeccompFilter answer(int errno, int call, long... arguments) {
        int conditions = 1 + arguments.length / 2;
        compare(0, call, conditions);
        for (int i = 0; i < arguments.length; i += 2) {
            compare(ARGUMENTS + 8 * (int) arguments[i], (int) arguments[i + 1], --conditions);
        }
        program.add(new Instruction(RETURN, 0, SECCOMP_RET_ERRNO | errno));
        return this;
    }

    /** Goes on to the next rule if the word is another: over two instructions for each condition left, and the return. */
    private void compare(int offset, int value, int conditionsLeft) {
        program.add(new Instruction(LOAD, 0, offset));
        program.add(new Instruction(JUMP_IF_EQUAL, 2 * (conditionsLeft - 1) + 1, value));
    }

    void install(KsmBackend backend) {
        program.add(new Instruction(RETURN, 0, SECCOMP_RET_ALLOW));
        ByteBuffer filter = ByteBuffer.allocateDirect(8 * program.size()).order(ByteOrder.nativeOrder());
        for (Instruction instruction : program) {
            filter.putShort((short) instruction.code())
                    .put((byte) 0)
                    .put((byte) instruction.jumpIfFalse())
                    .putInt(instruction.operand());
        }
        ByteBuffer fprog = ByteBuffer.allocateDirect(16).order(ByteOrder.nativeOrder());
        fprog.putShort(0, (short) program.size()).putLong(8, backend.address(filter));
        try {
            require(backend.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
            require(backend.syscall(
                    SECCOMP, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, backend.address(fprog), 0, 0));
        } finally {
            Reference.reachabilityFence(filter);
            Reference.reachabilityFence(fprog);
        }
    }

    private static void require(long result) {
        if (result != 0) {
            throw new IllegalStateException("seccomp filter not installed: " + result);
        }
    }
}
