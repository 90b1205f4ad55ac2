// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.faults.Faults;
import io.ksm4j.faults.FaultyClassLoader;
import java.util.List;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Throws at every allocation and every depth of the stack while a deduplicating pool works. */
class InjectedPoolFaultsTest {

    private static BiFunction<String, Faults.Kind, List<String>> scenarios;

    @BeforeAll
    @SuppressWarnings("unchecked")
    static void loadACopyWithFaults() throws ReflectiveOperationException {
        scenarios = (BiFunction<String, Faults.Kind, List<String>>)
                new FaultyClassLoader(Set.of(PoolFaultScenarios.class.getName()))
                        .loadClass(PoolFaultScenarios.class.getName())
                        .getDeclaredConstructor()
                        .newInstance();
    }

    static Stream<String> names() {
        return PoolFaultScenarios.names().stream();
    }

    @ParameterizedTest
    @MethodSource("names")
    void aFailedOperationHasHappenedEitherAsAWholeOrNotAtAll(String name) {
        for (Faults.Kind kind : List.of(Faults.Kind.ALLOCATION, Faults.Kind.ALLOCATIONS, Faults.Kind.DEPTH)) {
            assertThat(scenarios.apply(name, kind)).as("%s, %s", name, kind).isEmpty();
        }
    }
}
