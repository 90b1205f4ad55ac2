// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.awaitility.Awaitility.await;

import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import io.ksm4j.testsupport.JavaCommand;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A server in a JVM of its own, which does not change the settings of ksmd.
 *
 * @param output the file with what it prints
 */
record ServerProcess(Process process, Path output, int port) implements AutoCloseable {

    static ServerProcess start(Path directory, List<String> jvmOptions, String... options) throws IOException {
        return start(directory, List.of(), jvmOptions, options);
    }

    /** Starts it through another command, which must become the JVM. */
    static ServerProcess start(Path directory, List<String> prefix, List<String> jvmOptions, String... options)
            throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.addAll(JavaCommand.of(jvmOptions, CacheServer.class.getName(), "--port", "0", "--ksmd", "off"));
        command.addAll(List.of(options));
        Path log = directory.resolve("log");
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log.toFile())
                .start();
        boolean isReady = false;
        try {
            await().atMost(PATIENCE).until(() -> Files.readString(log).contains("Ready on ") || !process.isAlive());
            isReady = true;
        } finally {
            if (!isReady) {
                process.destroyForcibly();
            }
        }
        String text = Files.readString(log);
        if (!text.contains("Ready on ")) {
            throw new IOException("the server has ended: " + text);
        }
        return new ServerProcess(
                process,
                log,
                Integer.parseInt(text.substring(text.lastIndexOf(':') + 1).trim()));
    }

    RawClient raw() throws IOException {
        return new RawClient(port);
    }

    /** Returns what it has printed. */
    String log() throws IOException {
        return Files.readString(output);
    }

    /** Returns the number of its open file descriptors. */
    long descriptors() throws IOException {
        try (Stream<Path> open = Files.list(Path.of("/proc", Long.toString(process.pid()), "fd"))) {
            return open.count();
        }
    }

    @Override
    public void close() {
        process.destroyForcibly().onExit().join();
    }
}
