package io.ksm4j.tools;

import io.ksm4j.spi.KsmBackend;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/**
 * The open files of this process, by their numbers. Those that it was given go on to the program it becomes: sockets of a service
 * manager, for one. Those that the JVM has opened for itself, which are open to programs it becomes, must not.
 */
final class Descriptors {

    private static final Path FOLDER = Path.of("/proc/self/fd");

    private static final int FIRST_OTHER = 3;

    private static final int FCNTL = System.getProperty("os.arch").equals("aarch64") ? 25 : 72;

    private static final int F_SETFD = 2;
    private static final int FD_CLOEXEC = 1;

    /** Those that were open when the program began. */
    private static final Set<String> atStart = new HashSet<>();

    private Descriptors() {}

    /** Called before anything else: some parts of the JDK open sockets when they are first used. */
    static void rememberInherited() {
        atStart.addAll(open());
    }

    private static Set<String> open() {
        String[] names = new File("/proc/self/fd").list();
        return names == null ? Set.of() : Set.of(names);
    }

    static void closeOwnOnExec(KsmBackend backend) {
        for (String name : open()) {
            int descriptor = Integer.parseInt(name);
            if (descriptor >= FIRST_OTHER && (!atStart.contains(name) || isOfTheJvm(name))) {
                backend.syscall(FCNTL, descriptor, F_SETFD, FD_CLOEXEC, 0, 0);
            }
        }
    }

    /** What it opens before the program begins: its own files, the class path, and devices for random numbers. */
    private static boolean isOfTheJvm(String descriptor) {
        try {
            Path file = Files.readSymbolicLink(FOLDER.resolve(descriptor));
            return file.startsWith(Path.of(System.getProperty("java.home")).toRealPath())
                    || file.toString().endsWith(".jar")
                    || file.startsWith("/dev/random")
                    || file.startsWith("/dev/urandom");
        } catch (IOException e) {
            return false; // Closed meanwhile.
        }
    }
}
