// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.Architecture;
import io.ksm4j.tools.linux.ProcessStatus;
import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * State that a program should inherit as it was before the JVM or a shell changed it. Only the launcher {@code ksm}
 * knows it and passes it in a variable. State that is not in the variable is left as it is.
 *
 * @param ignored the signals that were ignored; bit 0 is signal 1
 * @param coredumpFilter which mappings are dumped (core(5)), in hexadecimal
 * @param closed the standard descriptors that were closed, such as {@code 02}
 * @param environment the environment variables, each followed by a zero byte
 */
record InheritedState(
        OptionalLong ignored, Optional<String> coredumpFilter, Optional<String> closed, Optional<byte[]> environment) {

    static final String VARIABLE = "KSM_INHERITED";

    private static final Pattern FORM =
            Pattern.compile("(?s)ignored=([0-9a-f]{16}|) coredump_filter=([0-9a-f]{1,8}|) closed=(0?1?2?)"
                    + " environment=([A-Za-z0-9+/=\\s]*)");

    private static final Path COREDUMP_FILTER = Path.of("/proc/self/coredump_filter");

    private static final int RT_SIGPROCMASK = Architecture.AARCH64 ? 135 : 14;
    private static final int SIG_SETMASK = 2;

    /** Reads the state from the launcher's variable. */
    static InheritedState read() {
        String variable = System.getenv(VARIABLE);
        return variable == null
                ? new InheritedState(OptionalLong.empty(), Optional.empty(), Optional.empty(), Optional.empty())
                : parse(variable);
    }

    /**
     * Parses the variable.
     *
     * @throws CommandFailedException if the launcher did not write it
     */
    static InheritedState parse(String variable) {
        Matcher parts = FORM.matcher(variable);
        if (!parts.matches()) {
            throw new CommandFailedException("the variable " + VARIABLE
                    + " is reserved for the launcher of ksm, but has another value: unset it");
        }
        try {
            return new InheritedState(
                    parts.group(1).isEmpty()
                            ? OptionalLong.empty()
                            : OptionalLong.of(Long.parseUnsignedLong(parts.group(1), 16)),
                    present(parts.group(2)),
                    Optional.of(parts.group(3)),
                    present(parts.group(4)).map(text -> Base64.getMimeDecoder().decode(text)));
        } catch (IllegalArgumentException e) {
            throw new CommandFailedException(
                    "the variable " + VARIABLE + " does not hold an environment in Base64: unset it", e);
        }
    }

    private static Optional<String> present(String text) {
        return text.isBlank() ? Optional.empty() : Optional.of(text);
    }

    /** Restores the core dump filter for the program. */
    void restoreCoredumpFilter() throws IOException {
        if (coredumpFilter.isPresent()) {
            Files.writeString(COREDUMP_FILTER, "0x" + coredumpFilter.get());
        }
    }

    /**
     * Ignores the signals again that were ignored and that the JVM handles. The JVM needs some of them, so call this
     * just before the program starts.
     *
     * @return the previous actions of these signals
     */
    Map<Integer, SignalAction> ignoreSignals(KsmBackend backend) throws IOException {
        Map<Integer, SignalAction> before = new LinkedHashMap<>();
        long now = ProcessStatus.read(Path.of("/proc/self")).signals("SigIgn");
        long lost = ignored.orElse(0) & ~now;
        for (int signal = 1; signal <= Long.SIZE; signal++) {
            if ((lost & (1L << (signal - 1))) != 0) {
                before.put(signal, SignalAction.of(backend, signal));
                SignalAction.ignore().install(backend, signal);
            }
        }
        return before;
    }

    /** Gives this thread the signal mask of the initial thread, because the JVM changes the mask of its threads. */
    static void restoreSignalMask(KsmBackend backend) throws IOException {
        Path first =
                Path.of("/proc/self/task", Long.toString(ProcessHandle.current().pid()));
        ByteBuffer mask = ByteBuffer.allocateDirect(SignalAction.SET_BYTES).order(ByteOrder.nativeOrder());
        mask.putLong(ProcessStatus.read(first).signals("SigBlk"));
        try {
            backend.syscall(RT_SIGPROCMASK, SIG_SETMASK, backend.address(mask), 0, SignalAction.SET_BYTES, 0);
        } finally {
            Reference.reachabilityFence(mask);
        }
    }
}
