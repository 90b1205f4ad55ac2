// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

import io.ksm4j.internal.SystemProperties;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/**
 * Finds the backend to use: the one with a given name, or the one with the highest priority of those that work here.
 */
final class Backends {

    private static final String ADVICE =
            "Add one of io.ksm4j:ksm-ffm (Java 22 or later), io.ksm4j:ksm-jnr or io.ksm4j:ksm-jna"
                    + " to the class path, and run Java with --enable-native-access=ALL-UNNAMED (on the module path:"
                    + " io.ksm4j.ffm, org.jnrproject.jffi or com.sun.jna). On a machine without KSM, use"
                    + " Ksm.systemOrFallback().";

    private Backends() {}

    static boolean isLinux() {
        return "Linux".equals(System.getProperty("os.name"));
    }

    /**
     * Opens the backend with the highest priority.
     *
     * @param wanted the name of the only acceptable backend; null to accept any
     * @throws KsmUnsupportedException if none works; its message lists each with the reason
     */
    static KsmBackend open(@Nullable String wanted) {
        if (!isLinux()) {
            throw new KsmUnsupportedException("Kernel Samepage Merging exists only on Linux, and this is "
                    + System.getProperty("os.name") + ". " + ADVICE);
        }
        if ("32".equals(System.getProperty("sun.arch.data.model"))) {
            throw new KsmUnsupportedException(
                    "ksm4j needs a 64-bit JVM: on this one, addresses and sizes are 32 bits wide");
        }
        List<String> refused = new ArrayList<>();
        for (KsmBackendProvider provider : providers(refused)) {
            if (wanted != null && !wanted.equals(provider.name())) {
                refused.add(provider.name() + ": not the requested backend");
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
                addByPriority(found.next(), providers);
            } catch (UnsupportedClassVersionError e) {
                refused.add("a provider for a newer Java than " + System.getProperty("java.specification.version")
                        + ": " + e.getMessage());
            } catch (ServiceConfigurationError | LinkageError e) {
                refused.add(
                        "a provider that cannot be loaded: " + e + (e.getCause() == null ? "" : ": " + e.getCause()));
            }
        }
        return providers;
    }

    private static void addByPriority(KsmBackendProvider provider, List<KsmBackendProvider> sorted) {
        int at = sorted.size();
        while (at > 0 && sorted.get(at - 1).priority() < provider.priority()) {
            at--;
        }
        sorted.add(at, provider);
    }
}
