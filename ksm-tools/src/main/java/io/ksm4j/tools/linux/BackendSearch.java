// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import io.ksm4j.tools.output.CommandFailedException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;

/**
 * The backend that this JVM uses to call the kernel.
 *
 * @param backend the first usable backend in order of priority; empty if none is usable
 * @param refused each unusable backend, with the reason
 */
public record BackendSearch(Optional<KsmBackend> backend, List<String> refused) {

    public static BackendSearch find() {
        List<String> refused = new ArrayList<>();
        for (KsmBackendProvider provider : providers(refused)) {
            try {
                return new BackendSearch(Optional.of(provider.open()), refused);
            } catch (UnsupportedOperationException e) {
                refused.add(provider.name() + ": " + e.getMessage());
            } catch (LinkageError e) {
                refused.add(provider.name() + ": " + e);
            }
        }
        return new BackendSearch(Optional.empty(), refused);
    }

    /**
     * Returns the backend.
     *
     * @throws CommandFailedException if no backend is usable
     */
    public KsmBackend require() {
        return backend.orElseThrow(() -> new CommandFailedException(
                "no usable backend; run ksm doctor for details: " + String.join("; ", refused)));
    }

    private static List<KsmBackendProvider> providers(List<String> refused) {
        List<KsmBackendProvider> providers = new ArrayList<>();
        Iterator<KsmBackendProvider> found = ServiceLoader.load(
                        KsmBackendProvider.class, BackendSearch.class.getClassLoader())
                .iterator();
        while (true) {
            try {
                if (!found.hasNext()) {
                    break;
                }
                providers.add(found.next());
            } catch (UnsupportedClassVersionError e) {
                refused.add("ffm: needs Java 22 or later");
            } catch (ServiceConfigurationError | LinkageError e) {
                refused.add("a backend that cannot be loaded: " + e);
            }
        }
        providers.sort(Comparator.comparingInt(KsmBackendProvider::priority).reversed());
        return providers;
    }
}
