package io.ksm4j.it;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import io.ksm4j.testsupport.TestLength;
import java.util.List;
import java.util.ServiceLoader;

/** Every backend on the class path, by name. */
final class BackendsUnderTest {

    static final List<String> NAMES = List.of("ffm", "jnr", "jna");

    /** For tests that take long with each: one in the gate, all in the profile {@code long}. */
    static final List<String> SOME = TestLength.isLong() ? NAMES : NAMES.subList(0, 1);

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
