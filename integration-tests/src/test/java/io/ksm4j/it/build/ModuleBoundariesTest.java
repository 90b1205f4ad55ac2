package io.ksm4j.it.build;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.lang.ArchRule;
import io.ksm4j.Ksm;
import io.ksm4j.agent.KsmAgent;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.ffm.FfmBackendProvider;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.jna.JnaBackendProvider;
import io.ksm4j.jnr.JnrBackendProvider;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.plot.Plot;
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

/** The arrows between the modules point one way, and each technology stays in its module. */
class ModuleBoundariesTest {

    private static final String[] API = {"io.ksm4j", "io.ksm4j.pool", "io.ksm4j.spi", "io.ksm4j.stats"};

    private static final List<Class<?>> ONE_OF_EACH_MODULE = List.of(
            Ksm.class,
            FfmBackendProvider.class,
            JnaBackendProvider.class,
            JnrBackendProvider.class,
            KsmDaemon.class,
            RunningKsmd.class,
            KsmMetrics.class,
            Plot.class,
            command());

    /** And of what is no module: its jar has a module in it that is named when it is loaded. */
    private static final Class<?> AGENT = KsmAgent.class;

    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(location -> Stream.concat(ONE_OF_EACH_MODULE.stream(), Stream.of(AGENT))
                    .anyMatch(type -> location.contains(CodeLocation.of(type).toString())))
            .importPackages("io.ksm4j");

    /** Nothing in its module is public. */
    private static Class<?> command() {
        try {
            return Class.forName("io.ksm4j.tools.KsmCommand");
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
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
                .should()
                .onlyDependOnClassesThat()
                .resideInAnyPackage(
                        "io.ksm4j",
                        "io.ksm4j.internal..",
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
        for (String module : List.of("agent", "agent.isolated", "ffm", "jna", "jnr", "micrometer", "test", "tools..")) {
            check(onlyItself("io.ksm4j." + module));
        }
        check(onlyItself("io.ksm4j.plot", "io.ksm4j.tools.."));
        check(onlyItself("io.ksm4j.junit", "io.ksm4j.tck"));
        check(onlyItself("io.ksm4j.control", "io.ksm4j.junit", "io.ksm4j.tools.."));
    }

    /** And of the JDK what every program has: the others are asked for when it is loaded, and may be missing. */
    @Test
    void whatTheAgentPutsOnTheClassPathOfProgramsNeedsTheJdkOnly() {
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
    void theExtensionNeedsJUnitAndNoLibraryOfAssertions() {
        check(noClasses()
                .that()
                .resideInAPackage("io.ksm4j.junit")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.assertj..", "org.awaitility.."));
    }

    /** The package is used by nobody else, but for those that are named. */
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
    void typesOfOthersStayInTheirModule() {
        check(only("io.ksm4j.jna", "com.sun.jna.."));
        check(only("io.ksm4j.jnr", "jnr..", "com.kenai.."));
        check(only("io.ksm4j.ffm", "java.lang.foreign.."));
        check(only("io.ksm4j.micrometer", "io.micrometer.."));
        check(only("io.ksm4j.tools..", "picocli..", "org.jline..", "com.dynatrace.hash4j..", "com.sun.tools.."));
    }

    private static ArchRule only(String module, String... technology) {
        return noClasses()
                .that()
                .resideOutsideOfPackage(module)
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(technology);
    }

    @Test
    void whatIsPublicIsExported() {
        Set<String> exported = ONE_OF_EACH_MODULE.stream()
                .flatMap(type -> moduleOf(type).exports().stream())
                .map(Exports::source)
                .collect(Collectors.toSet());
        check(classes()
                .that()
                .arePublic()
                .and()
                .resideOutsideOfPackages("io.ksm4j.agent..", "io.ksm4j.tools..")
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
        for (Class<?> provider : ONE_OF_EACH_MODULE.subList(1, 4)) {
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
