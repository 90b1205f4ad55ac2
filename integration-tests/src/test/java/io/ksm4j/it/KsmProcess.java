package io.ksm4j.it;

import static io.ksm4j.testsupport.Patience.PATIENCE;

import io.ksm4j.testsupport.Directories;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * The command {@code ksm}, run as a process that has ended.
 *
 * @param exitStatus its exit status; 128 and more for a signal
 * @param output what it wrote to standard output
 * @param errors what it wrote to standard error
 */
record KsmProcess(int exitStatus, String output, String errors) {

    private static final String MAIN = "io.ksm4j.tools.KsmCommand";

    /** Of the class path, what the runnable jar has in it. */
    private static final List<String> PARTS = List.of(
            "ksm-api",
            "ksm-control",
            "ksm-ffm",
            "ksm-jna",
            "ksm-tools",
            "ksm-plot",
            "jna-",
            "jline",
            "picocli",
            "hash4j");

    /** Runs it to its end, with an empty standard input. */
    static KsmProcess run(String... arguments) {
        return runCommand(command(arguments));
    }

    /** Has another command, such as {@code setpriv}, start it. */
    static KsmProcess run(List<String> prefix, String... arguments) {
        return runCommand(concat(prefix, command(arguments)));
    }

    /** Runs another command to its end, in which {@code ksm} may be a part. */
    static KsmProcess runCommand(List<String> command) {
        try {
            Path errors = Directories.createFile("errors");
            try {
                Process process = new ProcessBuilder(command)
                        .redirectInput(new File("/dev/null"))
                        .redirectError(errors.toFile())
                        .start();
                try {
                    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                    if (!process.waitFor(PATIENCE)) {
                        throw new AssertionError("has not ended: " + command);
                    }
                    return new KsmProcess(process.exitValue(), output, Files.readString(errors));
                } finally {
                    process.destroyForcibly();
                }
            } finally {
                Files.delete(errors);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** How to start it on the JDK and the class path of these tests. */
    static List<String> command(String... arguments) {
        return command(ChildJvm.classPath(), arguments);
    }

    private static List<String> command(String classPath, String... arguments) {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        return concat(List.of(java, "--enable-native-access=ALL-UNNAMED"), main(classPath, arguments));
    }

    /** The same on a JDK that has no native access to enable. */
    static List<String> commandOnJdk17(String... arguments) throws IOException {
        return concat(List.of(Jdk17.home().resolve("bin/java").toString()), main(ChildJvm.classPath(), arguments));
    }

    private static List<String> main(String classPath, String... arguments) {
        return concat(
                List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classPath, MAIN), List.of(arguments));
    }

    /** How to start it as a user who owns nothing, who may lack the right to look into the folders of the build. */
    static List<String> commandOfNobody(Path folder, String... arguments) throws IOException {
        Stream<String> entries = Stream.of(ChildJvm.classPath().split(File.pathSeparator, -1))
                .filter(entry -> PARTS.stream().anyMatch(entry::contains));
        String classPath = ChildJvm.readableCopy(folder, entries.toList());
        return concat(
                List.of("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"), command(classPath, arguments));
    }

    private static List<String> concat(List<String> first, List<String> second) {
        List<String> both = new ArrayList<>(first);
        both.addAll(second);
        return both;
    }
}
