// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.stream.Stream;
import org.junit.jupiter.api.extension.AnnotatedElementContext;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.io.TempDirFactory;

/**
 * Temporary directories of tests, all in one directory that is deleted when this JVM exits, also when a signal ends it.
 * They are not below {@code target}, because some tests run programs as another user, who may not be able to read
 * there.
 */
public final class Directories implements TempDirFactory {

    private static final Path ROOT = createRoot();

    private static Path createRoot() {
        try {
            // Whatever the umask is: the programs of other users read here.
            Path root = Files.createTempDirectory("ksm4j-tests");
            Files.setPosixFilePermissions(root, PosixFilePermissions.fromString("rwxr-xr-x"));
            Runtime.getRuntime().addShutdownHook(new Thread(() -> delete(root), "delete directories"));
            return root;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Creates an empty directory that only its owner can use. */
    public static Path create(String prefix) throws IOException {
        return Files.createTempDirectory(ROOT, prefix);
    }

    /** Creates an empty file. */
    public static Path createFile(String prefix) throws IOException {
        return Files.createTempFile(ROOT, prefix, "");
    }

    @Override
    public Path createTempDirectory(AnnotatedElementContext element, ExtensionContext context) throws IOException {
        return create("test");
    }

    /** Other threads may still create and delete files in it: what cannot be deleted now is tried again. */
    private static void delete(Path root) {
        for (int attempt = 0; attempt < 10 && Files.exists(root); attempt++) {
            try (Stream<Path> files = Files.walk(root)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.deleteIfExists(file);
                }
            } catch (NoSuchFileException e) {
                // Deleted by another thread.
            } catch (IOException | UncheckedIOException e) {
                System.err.println("cannot delete " + root + ": " + e);
            }
        }
    }
}
