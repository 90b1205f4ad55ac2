package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;

/**
 * The open files of this process, by their numbers. Those that it was given go on to the program it becomes: sockets of a service
 * manager, for one. Those that the JVM has opened for itself, which are open to programs it becomes, must not.
 */
public final class FileDescriptors {

    private static final Path DIRECTORY = Path.of("/proc/self/fd");

    /** Standard input, output and error are below. */
    private static final int FIRST_OTHER = 3;

    private static final int FCNTL = System.getProperty("os.arch").equals("aarch64") ? 25 : 72;

    private static final int F_SETFD = 2;
    private static final int FD_CLOEXEC = 1;

    /** Those that were open when the program began. */
    private static final Set<String> atStart = new HashSet<>();

    private FileDescriptors() {}

    /** Called before anything else: some parts of the JDK open sockets when they are first used. */
    public static void rememberInherited() {
        atStart.addAll(open());
    }

    private static Set<String> open() {
        String[] names = new File("/proc/self/fd").list();
        return names == null ? Set.of() : Set.of(names);
    }

    /**
     * Has those closed when the program begins that it is not to inherit.
     *
     * @param closed of the standard ones, those that were closed when this process began, where that is known
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
                // Then nobody has opened it.
            }
        }
        return files;
    }

    /** What it opens before the program begins: its own files, the class path, and devices for random numbers. */
    private static boolean isOfTheJvm(String descriptor, Set<Path> classPath) {
        try {
            Path file = Files.readSymbolicLink(DIRECTORY.resolve(descriptor));
            return file.startsWith(Path.of(System.getProperty("java.home")).toRealPath())
                    || classPath.contains(file)
                    || file.startsWith("/dev/random")
                    || file.startsWith("/dev/urandom");
        } catch (IOException e) {
            return false; // Closed meanwhile.
        }
    }
}
