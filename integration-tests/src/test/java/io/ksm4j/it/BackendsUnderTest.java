package io.ksm4j.it;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.util.List;
import java.util.ServiceLoader;

/** Every backend on the class path, by name. */
final class BackendsUnderTest {

    static final List<String> NAMES = List.of("ffm", "jnr", "jna");

    private BackendsUnderTest() {}

    static KsmBackend open(String name) {
        return ServiceLoader.load(KsmBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals(name))
                .findFirst()
                .orElseThrow()
                .open();
    }
}
