package io.ksm4j.agent.inside;

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
 * Does what the agent's options say, as often as it is asked, by one thread at a time. Takes and gives types of the JDK alone, because
 * its caller is not in this module.
 */
public final class Inside implements Function<String, Map<String, String>> {

    private final Reporter reporter = new Reporter();
    private @Nullable Ksm ksm;

    /** Called by the agent. */
    public Inside() {}

    /**
     * Does it.
     *
     * @param options see the agent's documentation
     * @return whether the process {@code wasOptedIn} and now is, {@code isOptedIn}, and the {@code backend}; or the {@code error}
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
        // Before anything changes, because it may fail.
        options.report().ifPresent(report -> reporter.report(report, options.file()));
        switch (options.merge()) {
            case ON -> process.markMergeable();
            case OFF -> process.markUnmergeable();
            case KEEP -> MergeRegistry.system(); // Has the MXBeans registered.
        }
        Map<String, String> answer = new LinkedHashMap<>();
        answer.put("wasOptedIn", Boolean.toString(before));
        answer.put("isOptedIn", Boolean.toString(process.isMergeable()));
        answer.put("backend", ksm.backend());
        return answer;
    }

    /** Not {@link Ksm#system()}: the property that names its backend is the program's. */
    private Ksm ksm(AgentOptions options) {
        String name = options.backend().orElse(Runtime.version().feature() >= 22 ? "ffm" : "jna");
        if (ksm == null || (options.backend().isPresent() && !ksm.backend().equals(name))) {
            NativeAccess.grant();
            ksm = Ksm.with(open(name));
        }
        return ksm;
    }

    /** By name, because a provider for a later Java than this cannot even be looked at. */
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
