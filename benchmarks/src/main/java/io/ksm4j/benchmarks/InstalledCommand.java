// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The command {@code ksm} as users install it: its launcher and its jar. */
public record InstalledCommand(Path launcher, Path jar) {

    /** Returns the command that the module {@code ksm-tools} in a directory has built. */
    public static InstalledCommand of(Path tools) throws IOException {
        Path target = tools.resolve("target");
        try (Stream<Path> files = Files.list(target)) {
            Path jar = files.filter(file -> file.toString().endsWith("-runnable.jar"))
                    .findFirst()
                    .orElseThrow(
                            () -> new IOException("no runnable jar in " + target + ": build it with ./mvnw package"));
            return new InstalledCommand(tools.resolve("src/main/dist/ksm"), jar);
        }
    }

    /** Returns a process that runs the command with a JDK, and with no options of Java but its own. */
    public ProcessBuilder process(Path jdk, List<String> arguments) {
        List<String> command = new ArrayList<>(List.of(launcher.toString()));
        command.addAll(arguments);
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeAll(List.of("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"));
        builder.environment().put("JAVA_HOME", jdk.toString());
        builder.environment().put("KSM_JAR", jar.toString());
        return builder;
    }

    /** Returns the first number of this name in JSON that the command has printed. */
    public static double number(String json, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\": (\\d+(\\.\\d+)?)").matcher(json);
        if (!matcher.find()) {
            throw new IllegalStateException("no " + name + " in " + json);
        }
        return Double.parseDouble(matcher.group(1));
    }
}
