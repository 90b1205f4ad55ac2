// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j;

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

/**
 * Throws at every allocation, every depth of the stack and every call of the kernel, and checks that each operation has
 * happened completely or not at all, and that nothing it acquired is left.
 */
class InjectedFaultsTest {

    private static BiFunction<String, Faults.Kind, List<String>> scenarios;

    @BeforeAll
    @SuppressWarnings("unchecked")
    static void loadACopyWithFaults() throws ReflectiveOperationException {
        Set<String> unchanged = Set.of(FaultScenarios.class.getName(), PageModel.class.getName());
        scenarios = (BiFunction<String, Faults.Kind, List<String>>) new FaultyClassLoader(unchanged)
                .loadClass(FaultScenarios.class.getName())
                .getDeclaredConstructor()
                .newInstance();
    }

    static Stream<String> names() {
        return FaultScenarios.names().stream();
    }

    @ParameterizedTest
    @MethodSource("names")
    void aFailedOperationHasHappenedEitherAsAWholeOrNotAtAll(String name) {
        for (Faults.Kind kind : Faults.Kind.values()) {
            assertThat(scenarios.apply(name, kind)).as("%s, %s", name, kind).isEmpty();
        }
    }
}
