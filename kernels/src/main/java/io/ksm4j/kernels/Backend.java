// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import io.ksm4j.Ksm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.util.Iterator;
import java.util.Map;
import java.util.Objects;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.TreeMap;

/** The backends on the class path. Each is opened once. */
final class Backend {

    private static final Map<String, KsmBackend> USABLE = new TreeMap<>();

    private static final Map<String, Ksm> KSMS = new TreeMap<>();

    private static final Map<String, String> REFUSED = new TreeMap<>();

    static {
        Iterator<KsmBackendProvider> providers =
                ServiceLoader.load(KsmBackendProvider.class).iterator();
        boolean hasNext = true;
        while (hasNext) {
            try {
                hasNext = providers.hasNext();
                if (hasNext) {
                    open(providers.next());
                }
            } catch (UnsupportedClassVersionError e) {
                // The name is unknown, since its class cannot be loaded.
                REFUSED.put(
                        "ffm", "it needs a newer Java than " + Runtime.version().feature());
            } catch (ServiceConfigurationError e) {
                REFUSED.put("ffm", e.toString());
            }
        }
    }

    private Backend() {}

    private static void open(KsmBackendProvider provider) {
        try {
            KsmBackend backend = provider.open();
            USABLE.put(provider.name(), backend);
            KSMS.put(provider.name(), Ksm.with(backend));
        } catch (UnsupportedOperationException e) {
            REFUSED.put(provider.name(), String.valueOf(e.getMessage()));
        } catch (LinkageError e) {
            REFUSED.put(provider.name(), e.toString());
        }
    }

    /** Returns the backends that work here, by name. */
    static Map<String, KsmBackend> usable() {
        return USABLE;
    }

    /** Returns the {@link Ksm} of a backend that works. */
    static Ksm ksm(String name) {
        return Objects.requireNonNull(KSMS.get(name));
    }

    /** Returns any backend that works. */
    static KsmBackend any() {
        return USABLE.values().iterator().next();
    }

    /** Returns the {@link Ksm} of {@link #any()}. */
    static Ksm ksm() {
        return ksm(any().name());
    }

    /** Returns the messages of the backends that do not work, by name. */
    static Map<String, String> refused() {
        return REFUSED;
    }
}
