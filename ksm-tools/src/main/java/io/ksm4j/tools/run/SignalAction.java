// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.Architecture;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The action of a process for a signal, in the kernel's structure (rt_sigaction(2)), which differs from that of the C
 * library.
 */
final class SignalAction {

    private static final int RT_SIGACTION = Architecture.AARCH64 ? 134 : 13;

    private static final long SIG_IGN = 1;

    /** The size of a signal set. */
    static final int SET_BYTES = 8;

    /** Handler, flags, restorer, and the signals that the handler blocks. */
    private final ByteBuffer structure =
            ByteBuffer.allocateDirect(3 * Long.BYTES + SET_BYTES).order(ByteOrder.nativeOrder());

    /** A handler that blocks no signals. */
    SignalAction(long handler, long flags, long restorer) {
        structure.putLong(handler).putLong(flags).putLong(restorer);
    }

    static SignalAction ignore() {
        return new SignalAction(SIG_IGN, 0, 0);
    }

    /** {@return whether the kernel has accepted the action} */
    boolean install(KsmBackend backend, int signal) {
        return call(backend, signal, backend.address(structure), 0);
    }

    /** Returns the current action. */
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
