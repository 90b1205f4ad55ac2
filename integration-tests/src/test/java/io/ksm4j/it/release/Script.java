// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.release;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A script that has ended.
 *
 * @param exitStatus its exit status
 * @param output what it wrote to standard output and standard error
 */
record Script(int exitStatus, String output) {

    static Script run(Map<String, String> environment, Path script, String... arguments)
            throws IOException, InterruptedException {
        // Not executed itself: while another thread starts a process, that has the copy of a script open for writing.
        List<String> command = new ArrayList<>(List.of("bash", script.toString()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().putAll(environment);
        Process process = builder.start();
        process.getOutputStream().close();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Script(process.waitFor(), output);
    }

    /** Runs a script of {@code libexec} for another tree, which has a copy of it and of the files beside it. */
    static Script runIn(Path tree, String name) throws IOException, InterruptedException {
        Path libexec = Files.createDirectories(tree.resolve("libexec"));
        for (String file : List.of(name, name + ".txt")) {
            Path original = Path.of("../libexec", file);
            if (Files.exists(original)) {
                Files.copy(original, libexec.resolve(file));
            }
        }
        return run(Map.of(), libexec.resolve(name));
    }
}
