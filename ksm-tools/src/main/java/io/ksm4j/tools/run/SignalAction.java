package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What a process does at a signal, as the kernel has it (rt_sigaction(2)): the C library's own structure is another one. */
final class SignalAction {

    private static final int RT_SIGACTION = SystemCall.AARCH64 ? 134 : 13;

    private static final long SIG_IGN = 1;

    /** Of a set of signals. */
    static final int SET_BYTES = 8;

    /** Handler, flags, restorer, and the set of signals that it blocks. */
    private final ByteBuffer structure =
            ByteBuffer.allocateDirect(3 * Long.BYTES + SET_BYTES).order(ByteOrder.nativeOrder());

    /** A handler that blocks nothing. */
    SignalAction(long handler, long flags, long restorer) {
        structure.putLong(handler).putLong(flags).putLong(restorer);
    }

    static SignalAction ignore() {
        return new SignalAction(SIG_IGN, 0, 0);
    }

    /** Whether the kernel has taken it. */
    boolean install(KsmBackend backend, int signal) {
        return call(backend, signal, backend.address(structure), 0);
    }

    /** What the process does now. */
    static SignalAction of(KsmBackend backend, int signal) {
        SignalAction action = new SignalAction(0, 0, 0);
        action.call(backend, signal, 0, backend.address(action.structure));
        return action;
    }

    private boolean call(KsmBackend backend, int signal, long next, long old) {
        try {
            return backend.syscall(RT_SIGACTION, signal, next, old, SET_BYTES, 0) == 0;
        } finally {
            Reference.reachabilityFence(structure);
        }
    }
}
