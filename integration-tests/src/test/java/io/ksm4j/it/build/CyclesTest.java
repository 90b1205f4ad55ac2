// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.Dependency;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import io.ksm4j.it.fixtures.Aside;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Dependencies within a published module have one direction, except in small groups of classes. */
@Aside
class CyclesTest {

    /** A class and its helpers may depend on each other. */
    private static final int MAX_CLASSES_IN_A_CYCLE = 4;

    static Set<String> modules() {
        return PublishedModules.CLASSES.keySet();
    }

    @ParameterizedTest
    @MethodSource("modules")
    void noCycleHasMoreThanFourTopLevelClasses(String module) {
        Set<Set<String>> cycles = cycles(uses(PublishedModules.of(module), CyclesTest::topLevel));

        assertThat(cycles)
                .as("cycles of classes in %s", module)
                .allSatisfy(cycle -> assertThat(cycle).hasSizeLessThanOrEqualTo(MAX_CLASSES_IN_A_CYCLE));
    }

    @ParameterizedTest
    @MethodSource("modules")
    void packagesHaveNoCycle(String module) {
        Set<Set<String>> cycles = cycles(uses(PublishedModules.of(module), JavaClass::getPackageName));

        assertThat(cycles).as("cycles of packages in %s", module).isEmpty();
    }

    private static String topLevel(JavaClass type) {
        return type.getEnclosingClass().map(CyclesTest::topLevel).orElseGet(type::getName);
    }

    /** Returns, for each unit such as a package, the other units of the module that it depends on. */
    private static Map<String, Set<String>> uses(JavaClasses module, Function<JavaClass, String> unit) {
        Map<String, Set<String>> uses = new TreeMap<>();
        for (JavaClass type : module) {
            String user = unit.apply(type);
            Set<String> used = uses.computeIfAbsent(user, name -> new TreeSet<>());
            for (Dependency dependency : type.getDirectDependenciesFromSelf()) {
                JavaClass target = dependency.getTargetClass().getBaseComponentType();
                if (module.contain(target.getName())) {
                    used.add(unit.apply(module.get(target.getName())));
                }
            }
            used.remove(user);
        }
        return uses;
    }

    /** Returns the sets of units that all depend on each other, directly or indirectly. */
    private static Set<Set<String>> cycles(Map<String, Set<String>> uses) {
        Map<String, Set<String>> reachable = new TreeMap<>();
        uses.keySet().forEach(unit -> reachable.put(unit, reachableFrom(unit, uses)));
        Set<Set<String>> cycles = new HashSet<>();
        reachable.forEach((unit, reached) -> {
            if (reached.contains(unit)) {
                Set<String> cycle = new TreeSet<>(reached);
                cycle.removeIf(other -> !reachable.get(other).contains(unit));
                cycles.add(cycle);
            }
        });
        return cycles;
    }

    private static Set<String> reachableFrom(String unit, Map<String, Set<String>> uses) {
        Set<String> reached = new TreeSet<>();
        Deque<String> open = new ArrayDeque<>(uses.get(unit));
        while (!open.isEmpty()) {
            String next = open.pop();
            if (reached.add(next)) {
                open.addAll(uses.get(next));
            }
        }
        return reached;
    }

    @Test
    void cyclesAreFoundAndOneWayDependenciesAreNot() {
        assertThat(cycles(Map.of(
                        "a", Set.of("b"),
                        "b", Set.of("c", "d"),
                        "c", Set.of("a"),
                        "d", Set.of("e"),
                        "e", Set.of("d", "f"),
                        "f", Set.of())))
                .containsExactlyInAnyOrder(Set.of("a", "b", "c"), Set.of("d", "e"));
    }
}
