// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import io.ksm4j.AddressRange;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegistry;
import io.ksm4j.NativeMemory;
import io.ksm4j.NativeMemoryOptions;
import io.ksm4j.ProcessMerging;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Applies the options of the agent. May be called any number of times, by one thread at a time. Its interface has only
 * types of the JDK, because its caller is not in this module.
 */
public final class OptionsHandler implements Function<String, Map<String, String>> {

    private final Reporter reporter = new Reporter(() -> this.nativeMemory);
    private @Nullable Ksm ksm;

    /** The marks of native memory, also while closing them has failed; null if there are none. */
    private volatile @Nullable NativeMemory nativeMemory;

    /** Called by reflection. */
    public OptionsHandler() {}

    /**
     * Applies options.
     *
     * @param options {@code key=value,…}, as in the documentation of the agent
     * @return whether the process {@code wasOptedIn} before, whether it {@code isOptedIn} now, the {@code backend}, and
     *     the {@code nativeBytes} that are watched if only native memory merges; or the {@code error}
     */
    @Override
    public Map<String, String> apply(String options) {
        try {
            return apply(AgentOptions.parse(options));
        } catch (IllegalArgumentException | KsmException | UnsupportedOperationException e) {
            return Map.of("error", String.valueOf(e.getMessage()));
        }
    }

    private Map<String, String> apply(AgentOptions options) {
        Ksm ksm = ksm(options);
        ProcessMerging process = ksm.process();
        boolean before = process.isMergeable();
        // First, because it may fail, and nothing must have changed then.
        options.report().ifPresent(report -> reporter.report(report, options.file()));
        switch (options.merge()) {
            case ON -> mergeAll(process);
            case NATIVE -> mergeNative(ksm, process, before, options);
            case OFF -> mergeNothing(process, before);
            case KEEP -> MergeRegistry.system(); // Registers the MXBeans.
        }
        Map<String, String> answer = new LinkedHashMap<>();
        answer.put("wasOptedIn", Boolean.toString(before));
        answer.put("isOptedIn", Boolean.toString(process.isMergeable()));
        answer.put("backend", ksm.backend());
        NativeMemory marked = nativeMemory;
        if (marked != null) {
            answer.put(
                    "nativeBytes",
                    Long.toString(marked.ranges().stream()
                            .mapToLong(AddressRange::length)
                            .sum()));
        }
        return answer;
    }

    private void mergeAll(ProcessMerging process) {
        process.markMergeable();
        // While the process is opted in, this unmerges nothing.
        closeNative();
    }

    private void mergeNothing(ProcessMerging process, boolean wasOptedIn) {
        process.markUnmergeable();
        try {
            closeNative();
        } catch (RuntimeException | Error e) {
            optInAgain(process, wasOptedIn, e);
            throw e;
        }
    }

    private void mergeNative(Ksm ksm, ProcessMerging process, boolean wasOptedIn, AgentOptions options) {
        NativeMemoryOptions wanted =
                options.min().map(NativeMemoryOptions.DEFAULT::withMinSize).orElse(NativeMemoryOptions.DEFAULT);
        NativeMemory known = nativeMemory;
        if (known != null && known.isOpen() && known.options().equals(wanted)) {
            known.look();
            process.markUnmergeable();
            return;
        }
        // Before anything is unmarked, so that merged pages of native memory stay merged.
        NativeMemory opened = NativeMemory.adopt(ksm, wanted);
        try {
            process.markUnmergeable();
            closeNative();
        } catch (RuntimeException | Error e) {
            optInAgain(process, wasOptedIn, e);
            try {
                opened.close();
            } catch (KsmException unclosed) {
                e.addSuppressed(unclosed);
            }
            throw e;
        }
        nativeMemory = opened;
    }

    private static void optInAgain(ProcessMerging process, boolean wasOptedIn, Throwable cause) {
        try {
            if (wasOptedIn) {
                process.markMergeable();
            }
        } catch (KsmException e) {
            cause.addSuppressed(e);
        }
    }

    private void closeNative() {
        NativeMemory known = nativeMemory;
        if (known != null) {
            known.close();
            nativeMemory = null;
        }
    }

    /** Does not use {@link Ksm#system()}, since the property that selects its backend belongs to the program. */
    private Ksm ksm(AgentOptions options) {
        String name = options.backend().orElse(Runtime.version().feature() >= 22 ? "ffm" : "jna");
        if (ksm == null || (options.backend().isPresent() && !ksm.backend().equals(name))) {
            NativeAccess.grant();
            ksm = Ksm.with(open(name));
        }
        return ksm;
    }

    /** Loads the provider by name, because a class for a later Java version cannot even be loaded. */
    private static KsmBackend open(String name) {
        String provider = name.equals("ffm") ? "io.ksm4j.ffm.FfmBackendProvider" : "io.ksm4j.jna.JnaBackendProvider";
        try {
            return Class.forName(provider)
                    .asSubclass(KsmBackendProvider.class)
                    .getConstructor()
                    .newInstance()
                    .open();
        } catch (ReflectiveOperationException | LinkageError e) {
            throw new UnsupportedOperationException("backend " + name + " does not work here: " + e, e);
        }
    }
}
