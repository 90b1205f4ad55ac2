// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.lang.ArchRule;
import io.ksm4j.Ksm;
import io.ksm4j.agent.KsmAgent;
import io.ksm4j.ffm.FfmBackendProvider;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.jna.JnaBackendProvider;
import io.ksm4j.jnr.JnrBackendProvider;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleDescriptor.Exports;
import java.lang.module.ModuleDescriptor.Requires;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReference;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Dependencies between modules have one direction, and each third-party library is used in one module only. */
class ModuleBoundariesTest {

    private static final String[] API = {"io.ksm4j", "io.ksm4j.pool", "io.ksm4j.spi", "io.ksm4j.stats"};

    private static final String INTERNAL = "io.ksm4j.internal..";

    private static final JavaClasses CLASSES = PublishedModules.ALL;

    /**
     * Returns all modules except for the agent: its jar is not a module, but contains one that gets its name when it is
     * loaded.
     */
    private static Stream<ModuleDescriptor> modules() {
        return PublishedModules.CLASSES.values().stream()
                .filter(type -> type != KsmAgent.class)
                .map(ModuleBoundariesTest::moduleOf);
    }

    private static ModuleDescriptor moduleOf(Class<?> type) {
        Set<ModuleReference> found = ModuleFinder.of(CodeLocation.of(type)).findAll();
        assertThat(found).as("modules in %s", CodeLocation.of(type)).hasSize(1);
        return found.iterator().next().descriptor();
    }

    @Test
    void theApiNeedsTheJdkAndJSpecifyOnly() {
        check(classes()
                .that()
                .resideInAnyPackage(API)
                .or()
                .resideInAPackage(INTERNAL)
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "io.ksm4j",
                        INTERNAL,
                        "io.ksm4j.pool",
                        "io.ksm4j.spi",
                        "io.ksm4j.stats",
                        "org.jspecify..",
                        "java.lang",
                        "java.lang.annotation",
                        "java.lang.invoke",
                        "java.lang.management",
                        "java.lang.ref",
                        "java.lang.reflect",
                        "java.io..",
                        "java.net",
                        "java.nio..",
                        "java.time..",
                        "java.security",
                        "java.util..",
                        "javax.crypto",
                        "javax.crypto.spec",
                        "javax.management..",
                        "javax.security.auth",
                        "jdk.jfr"));
        ModuleDescriptor api = moduleOf(Ksm.class);
        assertThat(api.requires())
                .extracting(Requires::name)
                .containsExactlyInAnyOrder("java.base", "java.management", "jdk.jfr", "org.jspecify");
        assertThat(api.requires())
                .filteredOn(requires -> requires.name().equals("org.jspecify"))
                .allMatch(requires -> requires.modifiers().contains(Requires.Modifier.STATIC));
        assertThat(api.exports())
                .filteredOn(exports -> !exports.isQualified())
                .extracting(Exports::source)
                .containsExactlyInAnyOrder(API);
    }

    @Test
    void modulesKnowTheApiAndNotEachOther() {
        for (String module : List.of("agent", "arrow", "ffm", "jna", "jnr", "micrometer", "tck", "tools")) {
            check(onlyItself("io.ksm4j." + module + ".."));
        }
        check(noClasses()
                .that()
                .resideInAPackage("io.ksm4j.agent")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("io.ksm4j.agent.isolated"));
        check(onlyItself("io.ksm4j.plot..", "io.ksm4j.tools.."));
        check(onlyItself("io.ksm4j.junit..", "io.ksm4j.tck.."));
        check(onlyItself("io.ksm4j.control..", "io.ksm4j.junit..", "io.ksm4j.tools.."));
    }

    /** On the class path, other code could use internal packages; their package-info says that it must not. */
    @Test
    void internalPackagesAreForModulesOfKsm4jOnly() {
        assertThat(modules())
                .flatExtracting(ModuleDescriptor::exports)
                .filteredOn(exports -> exports.source().startsWith("io.ksm4j.internal"))
                .isNotEmpty()
                .allSatisfy(exports ->
                        assertThat(exports.targets()).isNotEmpty().allMatch(target -> target.startsWith("io.ksm4j.")));
        check(noClasses()
                .that()
                .resideInAPackage("io.ksm4j.agent..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage(INTERNAL));
    }

    /** They need java.base only: other modules may be missing, so the agent looks them up when it is loaded. */
    @Test
    void theAgentsClassesOnTheClassPathOfProgramsNeedTheJdkOnly() {
        check(classes()
                .that()
                .resideInAPackage("io.ksm4j.agent")
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "io.ksm4j.agent",
                        "org.jspecify..",
                        "java.io",
                        "java.lang",
                        "java.lang.instrument",
                        "java.lang.invoke",
                        "java.lang.module",
                        "java.lang.reflect",
                        "java.net",
                        "java.security",
                        "java.util",
                        "java.util.concurrent.locks",
                        "java.util.function",
                        "java.util.jar",
                        "java.util.stream",
                        "java.util.zip"));
    }

    @Test
    void onlyTheTestsOfBackendsNeedALibraryOfAssertions() {
        check(only("io.ksm4j.tck..", "org.assertj.."));
        check(noClasses().should().dependOnClassesThat().resideInAPackage("org.awaitility.."));
        check(noClasses()
                .that()
                .resideOutsideOfPackages("io.ksm4j.junit..", "io.ksm4j.tck..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.junit..", "org.opentest4j.."));
    }

    /** Only the named packages use the first one. */
    private static ArchRule onlyItself(String used, String... also) {
        return noClasses()
                .that()
                .resideOutsideOfPackages(
                        Stream.concat(Stream.of(used), Stream.of(also)).toArray(String[]::new))
                .should()
                .dependOnClassesThat()
                .resideInAPackage(used);
    }

    @Test
    void eachLibraryIsUsedInOneModuleOnly() {
        check(only("io.ksm4j.jna..", "com.sun.jna.."));
        check(only("io.ksm4j.jnr..", "jnr..", "com.kenai.."));
        check(only("io.ksm4j.ffm..", "java.lang.foreign.."));
        check(only("io.ksm4j.micrometer..", "io.micrometer.."));
        check(only("io.ksm4j.arrow..", "org.apache.arrow.."));
        check(only("io.ksm4j.tools..", "picocli..", "org.jline..", "com.sun.tools.."));
    }

    private static ArchRule only(String module, String... technology) {
        return noClasses()
                .that()
                .resideOutsideOfPackage(module)
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(technology);
    }

    /** The exceptions are the agent, which is not a module, ksm-tools, which exports nothing, and internal packages. */
    @Test
    void publicClassesAreInExportedPackages() {
        Set<String> exported = modules()
                .flatMap(module -> module.exports().stream())
                .map(Exports::source)
                .collect(Collectors.toSet());
        check(classes()
                .that()
                .arePublic()
                .and()
                .resideOutsideOfPackages("io.ksm4j.agent..", "io.ksm4j.tools..", INTERNAL)
                .should()
                .resideInAnyPackage(exported.toArray(String[]::new)));
    }

    @Test
    void backendImplementationsAreNotPublic() {
        check(classes()
                .that(DescribedPredicate.describe(
                        "implement a backend",
                        type -> type.isAssignableTo(io.ksm4j.spi.KsmBackend.class)
                                && !type.getPackageName().equals("io.ksm4j.spi")))
                .should()
                .bePackagePrivate());
    }

    @Test
    void everyBackendModuleProvidesItsBackend() {
        for (Class<?> provider :
                List.of(FfmBackendProvider.class, JnaBackendProvider.class, JnrBackendProvider.class)) {
            assertThat(moduleOf(provider).provides()).singleElement().satisfies(provides -> {
                assertThat(provides.service()).isEqualTo("io.ksm4j.spi.KsmBackendProvider");
                assertThat(provides.providers()).containsExactly(provider.getName());
            });
        }
    }

    private static void check(ArchRule rule) {
        rule.check(CLASSES);
        assertThat(CLASSES)
                .extracting(JavaClass::getPackageName)
                .contains("io.ksm4j", "io.ksm4j.ffm", "io.ksm4j.agent", "io.ksm4j.tools");
    }
}
