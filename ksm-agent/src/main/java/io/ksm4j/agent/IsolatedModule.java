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
 * The module that holds ksm4j, JNA and what the agent does, apart from the program's: its class loader has the platform's for a
 * parent, knows nothing of the program's class path, and is known to nobody else. So the program may have the same libraries in
 * other versions.
 *
 * <p>It is one module, with a name, because the JVM gives the right to call native functions to modules with names one by one, but
 * to the unnamed ones of all class loaders at once.
 *
 * <p>Its classes are in the folder {@code isolated} of the agent's jar, but for those of the package {@code inside}. The jar stays open,
 * so that it may be deleted.
 */
final class IsolatedModule extends ModuleReference {

    private static final String NAME = "io.ksm4j.agent.isolated";
    private static final String FOLDER = "isolated/";
    private static final String INSIDE = "io.ksm4j.agent.inside";

    /** What ksm4j needs of the JDK, and JNA; a program that is made of modules may run without. */
    private static final List<String> REQUIRED = List.of("java.logging", "java.management", "jdk.jfr");

    private final JarFile jar;

    private IsolatedModule(JarFile jar, URI location) {
        super(describe(jar), location);
        this.jar = jar;
    }

    /**
     * Loads it.
     *
     * @return does what options say
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
        URI location = KsmAgent.class
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
        // For that module alone; it needs it to be allowed to call native functions.
        instrumentation.redefineModule(
                Object.class.getModule(), Set.of(), Map.of(), Map.of("java.lang", Set.of(module)), Set.of(), Map.of());
        return Class.forName(module, INSIDE + ".Inside")
                .asSubclass(Function.class)
                .getConstructor()
                .newInstance();
    }

    private static ModuleDescriptor describe(JarFile jar) {
        Set<String> packages = jar.stream()
                .map(JarEntry::getName)
                .filter(name -> name.startsWith(FOLDER) && name.endsWith(".class"))
                .map(name ->
                        name.substring(FOLDER.length(), name.lastIndexOf('/')).replace('/', '.'))
                .collect(Collectors.toSet());
        packages.add(INSIDE);
        ModuleDescriptor.Builder module = ModuleDescriptor.newModule(NAME)
                .requires(Set.of(ModuleDescriptor.Requires.Modifier.MANDATED), "java.base");
        REQUIRED.forEach(module::requires);
        // JMX and JNA reflect.
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
                boolean own = name.startsWith(INSIDE.replace('.', '/') + "/");
                return Optional.ofNullable(jar.getJarEntry(own ? name : FOLDER + name));
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
                        .filter(name -> name.startsWith(FOLDER))
                        .map(name -> name.substring(FOLDER.length()));
            }

            @Override
            public void close() {}
        };
    }
}
