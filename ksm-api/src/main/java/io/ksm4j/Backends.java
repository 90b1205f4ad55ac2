package io.ksm4j;

import io.ksm4j.internal.SystemProperties;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/** Finds the backend to use: the named one, or the first in order of priority that works here. */
final class Backends {

    private static final String ADVICE =
            "Add one of io.ksm4j:ksm-ffm (Java 22 or later), io.ksm4j:ksm-jnr or io.ksm4j:ksm-jna"
                    + " to the class path, and run Java with --enable-native-access=ALL-UNNAMED (on the module path:"
                    + " io.ksm4j.ffm, org.jnrproject.jffi or com.sun.jna). For a machine without KSM there is Ksm.systemOrFallback().";

    private Backends() {}

    static boolean isLinux() {
        return "Linux".equals(System.getProperty("os.name"));
    }

    /**
     * Opens the best backend.
     *
     * @param wanted the name to insist on, or null
     * @throws KsmUnsupportedException if none works; it names each and why
     */
    static KsmBackend open(@Nullable String wanted) {
        if (!isLinux()) {
            throw new KsmUnsupportedException("Kernel Samepage Merging exists on Linux only, and this is "
                    + System.getProperty("os.name") + ". " + ADVICE);
        }
        if ("32".equals(System.getProperty("sun.arch.data.model"))) {
            throw new KsmUnsupportedException(
                    "ksm4j needs a 64-bit JVM: on this one, addresses and sizes have other widths");
        }
        List<String> refused = new ArrayList<>();
        for (KsmBackendProvider provider : providers(refused)) {
            if (wanted != null && !wanted.equals(provider.name())) {
                refused.add(provider.name() + ": not the one asked for");
                continue;
            }
            try {
                return provider.open();
            } catch (UnsupportedOperationException e) {
                refused.add(provider.name() + ": " + e.getMessage());
            } catch (LinkageError e) {
                refused.add(provider.name() + ": " + e);
            }
        }
        throw new KsmUnsupportedException((wanted == null
                        ? "no usable backend"
                        : "no usable backend is named \"" + wanted + "\" (-D" + SystemProperties.BACKEND + ")")
                + (refused.isEmpty() ? ": none was found. " : ":\n  " + String.join("\n  ", refused) + "\n")
                + ADVICE);
    }

    private static List<KsmBackendProvider> providers(List<String> refused) {
        List<KsmBackendProvider> providers = new ArrayList<>();
        Iterator<KsmBackendProvider> found = ServiceLoader.load(
                        KsmBackendProvider.class, Backends.class.getClassLoader())
                .iterator();
        while (true) {
            try {
                if (!found.hasNext()) {
                    break;
                }
                providers.add(found.next());
            } catch (UnsupportedClassVersionError e) {
                refused.add("a provider for a later Java than " + System.getProperty("java.specification.version")
                        + ": " + e.getMessage());
            } catch (ServiceConfigurationError | LinkageError e) {
                refused.add(
                        "a provider that cannot be loaded: " + e + (e.getCause() == null ? "" : ": " + e.getCause()));
            }
        }
        providers.sort(Comparator.comparingInt(KsmBackendProvider::priority).reversed());
        return providers;
    }
}
