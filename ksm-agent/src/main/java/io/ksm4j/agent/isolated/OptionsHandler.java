// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.MergeRegistry;
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

    private final Reporter reporter = new Reporter();
    private @Nullable Ksm ksm;

    /** Called by reflection. */
    public OptionsHandler() {}

    /**
     * Applies options.
     *
     * @param options {@code key=value,…}, as in the documentation of the agent
     * @return whether the process {@code wasOptedIn} before, whether it {@code isOptedIn} now, and the {@code backend};
     *     or the {@code error}
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
            case ON -> process.markMergeable();
            case OFF -> process.markUnmergeable();
            case KEEP -> MergeRegistry.system(); // Registers the MXBeans.
        }
        Map<String, String> answer = new LinkedHashMap<>();
        answer.put("wasOptedIn", Boolean.toString(before));
        answer.put("isOptedIn", Boolean.toString(process.isMergeable()));
        answer.put("backend", ksm.backend());
        return answer;
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
