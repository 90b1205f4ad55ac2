package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A program that this process can become. Its arguments and its environment are bytes, as the kernel has them: as strings they would
 * depend on the locale.
 */
final class Program {

    static final int ENOENT = 2;
    static final int E2BIG = 7;
    static final int ENOEXEC = 8;
    static final int EACCES = 13;
    static final int ENOTDIR = 20;

    private static final int EXECVE = SystemCall.AARCH64 ? 221 : 59;

    /** Where programs are looked for without {@code PATH}, as execvp(3) does. */
    private static final String DEFAULT_PATH = "/bin:/usr/bin";

    private final List<byte[]> arguments;
    private final List<byte[]> environment;

    Program(List<byte[]> arguments, List<byte[]> environment) {
        this.arguments = arguments;
        this.environment = environment;
    }

    /** What the last arguments of this process name, with the environment that it has inherited. */
    static Program ofLastArguments(int count, InheritedState inherited) throws IOException {
        List<byte[]> all = strings(Files.readAllBytes(Path.of("/proc/self/cmdline")));
        List<byte[]> environment = strings(
                inherited.environment().isPresent()
                        ? inherited.environment().get()
                        : Files.readAllBytes(Path.of("/proc/self/environ")));
        environment.removeIf(variable -> text(variable).startsWith(InheritedState.VARIABLE + "="));
        return new Program(all.subList(all.size() - count, all.size()), environment);
    }

    /** Each ends with a zero byte. */
    private static List<byte[]> strings(byte[] bytes) {
        List<byte[]> strings = new ArrayList<>();
        ByteArrayOutputStream string = new ByteArrayOutputStream();
        for (byte b : bytes) {
            if (b == 0) {
                strings.add(string.toByteArray());
                string.reset();
            } else {
                string.write(b);
            }
        }
        return strings;
    }

    /**
     * Becomes the program, looking for it as execvp(3) does.
     *
     * @param backend knows addresses
     * @param kernel makes the call
     * @return the errno if it could not; otherwise this does not return
     */
    int exec(KsmBackend backend, SystemCall kernel) {
        byte[] name = arguments.get(0);
        if (name.length == 0) {
            return ENOENT;
        }
        if (contains(name, '/')) {
            return exec(backend, kernel, name);
        }
        int errno = ENOENT;
        for (byte[] directory : path()) {
            int failure = exec(backend, kernel, directory.length == 0 ? name : concat(concat(directory, '/'), name));
            if (failure == EACCES) {
                errno = EACCES;
            } else if (failure != ENOENT && failure != ENOTDIR) {
                return failure;
            }
        }
        return errno;
    }

    private List<byte[]> path() {
        String prefix = "PATH=";
        for (byte[] variable : environment) {
            String text = text(variable);
            if (text.startsWith(prefix)) {
                return split(text.substring(prefix.length()));
            }
        }
        return split(DEFAULT_PATH);
    }

    private static List<byte[]> split(String path) {
        List<byte[]> directories = new ArrayList<>();
        for (String directory : path.split(":", -1)) {
            directories.add(directory.getBytes(StandardCharsets.ISO_8859_1));
        }
        return directories;
    }

    private int exec(KsmBackend backend, SystemCall kernel, byte[] file) {
        int errno = execve(backend, kernel, file, arguments);
        if (errno == ENOEXEC) {
            // A script that does not say what runs it.
            byte[] shell = "/bin/sh".getBytes(StandardCharsets.US_ASCII);
            List<byte[]> script = new ArrayList<>(List.of(shell, file));
            script.addAll(arguments.subList(1, arguments.size()));
            errno = execve(backend, kernel, shell, script);
        }
        return errno;
    }

    private int execve(KsmBackend backend, SystemCall kernel, byte[] file, List<byte[]> argv) {
        List<ByteBuffer> strings = new ArrayList<>();
        ByteBuffer fileBytes = terminated(file);
        ByteBuffer arguments = pointers(backend, argv, strings);
        ByteBuffer variables = pointers(backend, environment, strings);
        try {
            return (int) -kernel.call(
                    EXECVE, backend.address(fileBytes), backend.address(arguments), backend.address(variables));
        } finally {
            Reference.reachabilityFence(strings);
            Reference.reachabilityFence(fileBytes);
            Reference.reachabilityFence(arguments);
            Reference.reachabilityFence(variables);
        }
    }

    /** Their addresses, and a null one at the end. */
    private static ByteBuffer pointers(KsmBackend backend, List<byte[]> values, List<ByteBuffer> kept) {
        ByteBuffer pointers =
                ByteBuffer.allocateDirect((values.size() + 1) * Long.BYTES).order(ByteOrder.nativeOrder());
        for (byte[] value : values) {
            ByteBuffer string = terminated(value);
            kept.add(string);
            pointers.putLong(backend.address(string));
        }
        return pointers;
    }

    private static ByteBuffer terminated(byte[] value) {
        return ByteBuffer.allocateDirect(value.length + 1).put(0, value);
    }

    private static boolean contains(byte[] bytes, char c) {
        return text(bytes).indexOf(c) >= 0;
    }

    /** One character is one byte, whatever it stands for. */
    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    private static byte[] concat(byte[] first, char c) {
        return concat(first, new byte[] {(byte) c});
    }

    private static byte[] concat(byte[] first, byte[] second) {
        byte[] both = new byte[first.length + second.length];
        System.arraycopy(first, 0, both, 0, first.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }
}
