// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.Architecture;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * The file descriptors of this process. The program that the process becomes inherits those that the process was given,
 * such as sockets of a service manager. It must not inherit those that the JVM has opened for itself without
 * close-on-exec.
 */
public final class FileDescriptors {

    private static final Path DIRECTORY = Path.of("/proc/self/fd");

    /** Standard input, output and error have lower numbers. */
    private static final int FIRST_OTHER = 3;

    private static final int FCNTL = Architecture.AARCH64 ? 25 : 72;

    private static final int F_SETFD = 2;
    private static final int FD_CLOEXEC = 1;

    /** The descriptors that were open when this process started. */
    private static final Set<String> atStart = new HashSet<>();

    private FileDescriptors() {}

    /** Records the open descriptors. Must be called first, because parts of the JDK open sockets on first use. */
    public static void rememberInherited() {
        atStart.addAll(open());
    }

    private static Set<String> open() {
        String[] names = new File("/proc/self/fd").list();
        return names == null ? Set.of() : Set.of(names);
    }

    /**
     * Closes the descriptors on exec that the program must not inherit.
     *
     * @param closed which of standard input, output and error were closed when this process started, if known
     */
    static void closeOwnOnExec(KsmBackend backend, Optional<String> closed) throws IOException {
        Set<Path> ofTheJvm = classPath();
        for (String name : open()) {
            int descriptor = Integer.parseInt(name);
            boolean isTold = descriptor < FIRST_OTHER && closed.isPresent();
            boolean isOwn =
                    isTold ? closed.get().contains(name) : (!atStart.contains(name) || isOfTheJvm(name, ofTheJvm));
            if (isOwn) {
                backend.syscall(FCNTL, descriptor, F_SETFD, FD_CLOEXEC, 0, 0);
            }
        }
    }

    private static Set<Path> classPath() {
        Set<Path> files = new HashSet<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator, -1)) {
            try {
                files.add(Path.of(entry).toRealPath());
            } catch (IOException e) {
                // A file that is missing is not open.
            }
        }
        return files;
    }

    /**
     * {@return whether the JVM opened the file at its start: a file of its own or of the class path, or a random number
     * device}
     */
    private static boolean isOfTheJvm(String descriptor, Set<Path> classPath) {
        try {
            Path file = Files.readSymbolicLink(DIRECTORY.resolve(descriptor));
            return file.startsWith(Path.of(System.getProperty("java.home")).toRealPath())
                    || classPath.contains(file)
                    || file.startsWith("/dev/random")
                    || file.startsWith("/dev/urandom");
        } catch (IOException e) {
            return false; // Closed by now.
        }
    }
}
