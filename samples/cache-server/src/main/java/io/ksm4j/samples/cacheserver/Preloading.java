// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import java.util.logging.SimpleFormatter;
import java.util.stream.Stream;

/** Opens at the start what the server could not open later if all file descriptors were used by clients. */
final class Preloading {

    private static final String CLASS = ".class";

    private Preloading() {}

    /**
     * Opens all jars of the class path, loads the classes of this package if they are in a directory, and formats a log
     * record with an exception, which reads the rules of the time zone.
     *
     * @throws IOException if the directory cannot be read
     */
    static void run() throws IOException {
        ClassLoader loader = Preloading.class.getClassLoader();
        if (loader.getResource("no/such/resource") != null) {
            throw new IllegalStateException("a class path with all resources");
        }
        loadPackage(loader);
        // The default handlers are created when they are needed.
        for (var handler : Logger.getLogger("").getHandlers()) {
            handler.flush();
        }
        LogRecord entry = new LogRecord(Level.WARNING, "");
        entry.setThrown(new IOException());
        new SimpleFormatter().format(entry);
    }

    private static void loadPackage(ClassLoader loader) throws IOException {
        try {
            Path root = Path.of(Preloading.class
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toURI());
            if (!Files.isDirectory(root)) {
                return;
            }
            String name = Preloading.class.getPackageName();
            List<String> files;
            try (Stream<Path> all = Files.list(root.resolve(name.replace('.', '/')))) {
                files = all.map(file -> file.getFileName().toString())
                        .filter(file -> file.endsWith(CLASS))
                        .toList();
            }
            for (String file : files) {
                Class.forName(name + "." + file.substring(0, file.length() - CLASS.length()), false, loader);
            }
        } catch (URISyntaxException | ClassNotFoundException e) {
            throw new IOException("the classes of the server cannot be loaded", e);
        }
    }
}
