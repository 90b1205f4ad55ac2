// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.instrument.Instrumentation;
import java.lang.module.Configuration;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The module that contains ksm4j, JNA and the agent's own code, isolated from the program: the parent of its class
 * loader is the platform class loader, so it does not see the class path of the program, and no other class loader sees
 * it. Therefore the program may use the same libraries in other versions.
 *
 * <p>It is one named module, because the JVM enables native access for each named module separately, but for the
 * unnamed modules of all class loaders at once.
 *
 * <p>Its classes are in the directory {@code isolated} of the agent's jar, except those of its own package. The jar
 * stays open, so that the file may be deleted.
 */
final class IsolatedModule extends ModuleReference {

    private static final String NAME = "io.ksm4j.agent.isolated";
    private static final String DIRECTORY = "isolated/";
    private static final String PACKAGE = "io.ksm4j.agent.isolated";

    /** The modules of the JDK that ksm4j and JNA need. A modular program may run without them. */
    private static final List<String> REQUIRED = List.of("java.logging", "java.management", "jdk.jfr");

    private final JarFile jar;

    private IsolatedModule(JarFile jar, URI location) {
        super(describe(jar), location);
        this.jar = jar;
    }

    /**
     * Loads the module.
     *
     * @return applies options
     * @throws IllegalStateException if the program runs without a module of the JDK that is needed
     */
    @SuppressWarnings("unchecked")
    static Function<String, Map<String, String>> open(Instrumentation instrumentation)
            throws IOException, ReflectiveOperationException, URISyntaxException {
        List<String> missing = REQUIRED.stream()
                .filter(name -> ModuleLayer.boot().findModule(name).isEmpty())
                .toList();
        if (!missing.isEmpty()) {
            throw new IllegalStateException("this program runs without modules of the JDK that the agent needs:"
                    + " start it with --add-modules " + String.join(",", missing));
        }
        URI location = IsolatedModule.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI();
        IsolatedModule isolated = new IsolatedModule(new JarFile(new File(location)), location);
        Configuration configuration =
                ModuleLayer.boot().configuration().resolve(isolated.finder(), ModuleFinder.of(), Set.of(NAME));
        ModuleLayer layer = ModuleLayer.defineModulesWithOneLoader(
                        configuration, List.of(ModuleLayer.boot()), ClassLoader.getPlatformClassLoader())
                .layer();
        Module module = layer.findModule(NAME).orElseThrow();
        // Opens java.lang to that module only, which needs it to enable native access.
        instrumentation.redefineModule(
                Object.class.getModule(), Set.of(), Map.of(), Map.of("java.lang", Set.of(module)), Set.of(), Map.of());
        return Class.forName(module, PACKAGE + ".OptionsHandler")
                .asSubclass(Function.class)
                .getConstructor()
                .newInstance();
    }

    private static ModuleDescriptor describe(JarFile jar) {
        Set<String> packages = jar.stream()
                .map(JarEntry::getName)
                .filter(name -> name.startsWith(DIRECTORY) && name.endsWith(".class"))
                .map(name -> name.substring(DIRECTORY.length(), name.lastIndexOf('/'))
                        .replace('/', '.'))
                .collect(Collectors.toSet());
        packages.add(PACKAGE);
        ModuleDescriptor.Builder module = ModuleDescriptor.newModule(NAME)
                .requires(Set.of(ModuleDescriptor.Requires.Modifier.MANDATED), "java.base");
        REQUIRED.forEach(module::requires);
        // JMX and JNA use reflection.
        packages.forEach(module::exports);
        return module.build();
    }

    private ModuleFinder finder() {
        return new ModuleFinder() {
            @Override
            public Optional<ModuleReference> find(String name) {
                return name.equals(NAME) ? Optional.of(IsolatedModule.this) : Optional.empty();
            }

            @Override
            public Set<ModuleReference> findAll() {
                return Set.of(IsolatedModule.this);
            }
        };
    }

    @Override
    public ModuleReader open() {
        return new ModuleReader() {
            private Optional<JarEntry> entry(String name) {
                boolean own = name.startsWith(PACKAGE.replace('.', '/') + "/");
                return Optional.ofNullable(jar.getJarEntry(own ? name : DIRECTORY + name));
            }

            @Override
            public Optional<URI> find(String name) {
                return entry(name).map(entry -> URI.create("jar:" + location().orElseThrow() + "!/" + entry.getName()));
            }

            @Override
            public Optional<InputStream> open(String name) throws IOException {
                Optional<JarEntry> entry = entry(name);
                return entry.isPresent() ? Optional.of(jar.getInputStream(entry.get())) : Optional.empty();
            }

            @Override
            public Stream<String> list() {
                return jar.stream()
                        .map(JarEntry::getName)
                        .filter(name -> name.startsWith(DIRECTORY))
                        .map(name -> name.substring(DIRECTORY.length()));
            }

            @Override
            public void close() {}
        };
    }
}
