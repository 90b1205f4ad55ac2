// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.agent;

import io.ksm4j.Ksm;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.it.fixtures.Javac;
import io.ksm4j.it.fixtures.Jdk17;
import io.ksm4j.jna.JnaBackendProvider;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Programs that do not use ksm4j's agent themselves, compiled for the oldest JVM that the agent supports. */
final class AgentPrograms {

    static final Path AGENT = Path.of("..", "ksm-agent", "target", "ksm-agent.jar")
            .toAbsolutePath()
            .normalize();

    /** Prints that it runs, and exits when its standard input ends. */
    private static final String PLAIN = """
            public class Plain {
                public static void main(String[] arguments) throws Exception {
                    System.out.println("up");
                    while (arguments.length == 0 && System.in.read() >= 0) {}
                }
            }
            """;

    /** Has its own ksm4j and JNA. For each line of input, it prints whether all of its region is marked. */
    private static final String OWN_LIBRARIES = """
            public class OwnLibraries {
                public static void main(String[] arguments) throws Exception {
                    io.ksm4j.Ksm ksm = io.ksm4j.Ksm.system();
                    io.ksm4j.MergeRegion region = ksm.allocate(1 << 20);
                    System.out.println(ksm.backend() + ", JNA " + com.sun.jna.Native.VERSION);
                    while (System.in.read() >= 0) {
                        System.out.println("mergeable " + ksm.process().isMergeable() + ", marked "
                                + (region.isMergeable() && region.unmarkedRanges().isEmpty()) + ", regions "
                                + ksm.registry().openRegions());
                    }
                }
            }
            """;

    /** Has a direct buffer of 8 MiB with the same random bytes in each process. */
    private static final String DIRECT_BUFFER = """
            public class DirectBuffer {
                public static void main(String[] arguments) throws Exception {
                    byte[] bytes = new byte[8 << 20];
                    new java.util.Random(19).nextBytes(bytes);
                    java.nio.ByteBuffer buffer = java.nio.ByteBuffer.allocateDirect(bytes.length).put(bytes);
                    java.util.List<byte[]> heap = new java.util.ArrayList<>();
                    for (int i = 0; i < 3000; i++) {
                        heap.add(new byte[32 << 10]);
                    }
                    System.gc();
                    System.out.println("up");
                    while (System.in.read() >= 0) {}
                    System.out.println(java.nio.ByteBuffer.wrap(bytes).equals(buffer.flip()));
                }
            }
            """;

    /** A class with the name of the agent's class, which comes first on the program's class path. */
    private static final String ENDS = """
            package io.ksm4j.agent;
            public class KsmAgent {
                public static void agentmain(String options) {
                    Runtime.getRuntime().halt(1);
                }
            }
            """;

    private final Path classes;
    private final Path ending;

    /** Compiles the programs into a directory. */
    AgentPrograms(Path directory) throws IOException {
        classes = directory.resolve("classes");
        ending = directory.resolve("ending");
        compile(directory, classes, "Plain", PLAIN);
        compile(directory, classes, "OwnLibraries", OWN_LIBRARIES);
        compile(directory, classes, "DirectBuffer", DIRECT_BUFFER);
        compile(directory, ending, "KsmAgent", ENDS);
    }

    private static void compile(Path directory, Path classes, String name, String text) throws IOException {
        Path source = Files.writeString(directory.resolve(name + ".java"), text);
        Javac.compile(source, ownLibraries(), classes);
    }

    private static String ownLibraries() {
        return Stream.of(
                        CodeLocation.of(Ksm.class),
                        CodeLocation.of(JnaBackendProvider.class),
                        Path.of("target", "old-jna.jar").toAbsolutePath())
                .map(Path::toString)
                .reduce((a, b) -> a + File.pathSeparator + b)
                .orElseThrow();
    }

    List<String> plain(Path jdk, String... jvmArguments) {
        return command(jdk, classes.toString(), "Plain", jvmArguments);
    }

    List<String> directBuffer(Path jdk, String... jvmArguments) {
        return command(jdk, classes.toString(), "DirectBuffer", jvmArguments);
    }

    List<String> ownLibraries(Path jdk, String... jvmArguments) {
        return command(jdk, classes + File.pathSeparator + ownLibraries(), "OwnLibraries", jvmArguments);
    }

    /** Returns the command for a JVM that ends when the agent is loaded. */
    List<String> ending(Path jdk, String... jvmArguments) {
        return command(jdk, classes + File.pathSeparator + ending, "Plain", jvmArguments);
    }

    private static List<String> command(Path jdk, String classPath, String main, String... jvmArguments) {
        List<String> command = new ArrayList<>(List.of(jdk.resolve("bin/java").toString(), "-XX:TieredStopAtLevel=1"));
        command.addAll(List.of(jvmArguments));
        command.addAll(List.of("-cp", classPath, main));
        return command;
    }

    /** Returns the homes of the JDKs that the agent is tested on. */
    static List<Path> jdks() throws IOException {
        return List.of(Jdk17.home(), Path.of(System.getProperty("java.home")));
    }
}
