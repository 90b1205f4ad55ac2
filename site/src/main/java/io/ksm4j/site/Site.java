// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.site;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.spi.ToolProvider;

/**
 * Builds the site: the pages of the repository as HTML, and the Javadoc of all modules with an API in {@code api}. Then
 * checks all links between them. {@code libexec/site} starts it.
 */
public final class Site {

    /** Where {@code libexec/site} has Maven write the class path of each module. */
    private static final String CLASS_PATH = "target/site-class-path";

    private Site() {}

    /** The arguments are the root of the repository, the directory for the site, and the modules with an API. */
    public static void main(String[] arguments) throws IOException {
        Path root = Path.of(arguments[0]).toAbsolutePath().normalize();
        Path site = Path.of(arguments[1]).toAbsolutePath().normalize();
        List<Path> modules = Arrays.stream(arguments).skip(2).map(root::resolve).toList();
        int status = javadoc(modules, site.resolve("api"));
        if (status != 0) {
            System.exit(status);
        }
        new Pages(root).writeTo(site);
        List<String> broken = Links.broken(site);
        broken.forEach(System.err::println);
        if (!broken.isEmpty()) {
            System.err.println("libexec/site: " + broken.size() + " broken links");
            System.exit(1);
        }
        System.out.println(site.resolve(Pages.INDEX));
    }

    private static int javadoc(List<Path> modules, Path target) throws IOException {
        List<String> options = new ArrayList<>(List.of("-quiet", "-Werror", "-notimestamp", "-encoding", "UTF-8"));
        options.addAll(List.of("-windowtitle", "ksm4j", "-doctitle", "ksm4j", "-d", target.toString()));
        List<String> names = new ArrayList<>();
        Set<String> libraries = new TreeSet<>();
        for (Path module : modules) {
            Path sources = module.resolve("src/main/java");
            String name = Modules.nameOf(sources.resolve("module-info.java"));
            names.add(name);
            options.addAll(List.of("--module-source-path", name + "=" + sources));
            for (String entry :
                    Files.readString(module.resolve(CLASS_PATH)).strip().split(":", -1)) {
                // The others are the modules themselves.
                if (entry.endsWith(".jar")) {
                    libraries.add(entry);
                }
            }
        }
        options.addAll(List.of("--module", String.join(",", names), "--module-path", String.join(":", libraries)));
        return ToolProvider.findFirst("javadoc")
                .orElseThrow()
                .run(System.out, System.err, options.toArray(String[]::new));
    }
}
