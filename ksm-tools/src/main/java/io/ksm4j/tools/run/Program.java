// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.Architecture;
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
 * A program that this process can become. Arguments and environment are bytes, as in the kernel: strings would depend
 * on the locale.
 */
final class Program {

    static final int ENOENT = 2;
    static final int E2BIG = 7;
    static final int ENOEXEC = 8;
    static final int EACCES = 13;
    static final int ENOTDIR = 20;

    private static final int EXECVE = Architecture.AARCH64 ? 221 : 59;

    /** The directories to search if {@code PATH} is not set, as in execvp(3). */
    private static final String DEFAULT_PATH = "/bin:/usr/bin";

    private final List<byte[]> arguments;
    private final List<byte[]> environment;

    Program(List<byte[]> arguments, List<byte[]> environment) {
        this.arguments = arguments;
        this.environment = environment;
    }

    /** Returns the program in the last arguments of this process, with the environment that the process inherited. */
    static Program ofLastArguments(int count, InheritedState inherited) throws IOException {
        List<byte[]> all = strings(Files.readAllBytes(Path.of("/proc/self/cmdline")));
        List<byte[]> environment = strings(
                inherited.environment().isPresent()
                        ? inherited.environment().get()
                        : Files.readAllBytes(Path.of("/proc/self/environ")));
        environment.removeIf(variable -> text(variable).startsWith(InheritedState.VARIABLE + "="));
        return new Program(all.subList(all.size() - count, all.size()), environment);
    }

    /** Splits strings, each followed by a zero byte. */
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
     * Becomes the program, and searches for it like execvp(3).
     *
     * @param backend provides addresses
     * @param kernel makes the system call
     * @return the errno of a failure; does not return on success
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
            // A script without an interpreter line.
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

    /** Returns the addresses of the strings, followed by a null pointer. */
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

    /** Decodes each byte as one character, whatever it means. */
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
