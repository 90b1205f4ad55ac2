// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** A temporary directory for the model, and for the files of the JVMs. It is deleted even if a signal ends this JVM. */
final class ModelDirectory implements AutoCloseable {

    private final Path path;

    ModelDirectory() throws IOException {
        path = Files.createTempDirectory("ksm4j-inference");
        Runtime.getRuntime().addShutdownHook(new Thread(this::stopJvmsAndDelete, "delete-model"));
    }

    Path model() {
        return path.resolve("model.onnx");
    }

    private void stopJvmsAndDelete() {
        List<ProcessHandle> jvms = ProcessHandle.current().children().toList();
        jvms.forEach(ProcessHandle::destroyForcibly);
        jvms.forEach(jvm -> jvm.onExit().join());
        close();
    }

    /** Deletes the directory if there still is one; call it when the JVMs have ended. */
    @Override
    public synchronized void close() {
        if (Files.exists(path)) {
            try (Stream<Path> files = Files.walk(path)) {
                for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(file);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
