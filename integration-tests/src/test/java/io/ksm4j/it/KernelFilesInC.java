package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** What reading files costs in C: each opened, read to its end into one buffer and closed, in this process. */
@SuppressWarnings("restricted")
final class KernelFilesInC implements AutoCloseable {

    private static final String SOURCE = """
            #include <fcntl.h>
            #include <unistd.h>

            long read_files(const char *const *paths, int count) {
                static char buffer[8192];
                long bytes = 0;
                for (int i = 0; i < count; i++) {
                    int file = open(paths[i], O_RDONLY | O_CLOEXEC);
                    if (file < 0) {
                        return -1;
                    }
                    long length;
                    while ((length = read(file, buffer, sizeof buffer)) > 0) {
                        bytes += length;
                    }
                    close(file);
                    if (length < 0) {
                        return -1;
                    }
                }
                return bytes;
            }
            """;

    private final Arena arena = Arena.ofConfined();
    private final MethodHandle readFiles;
    private final MemorySegment paths;
    private final int count;

    private KernelFilesInC(Path library, List<Path> files) {
        Linker linker = Linker.nativeLinker();
        readFiles = linker.downcallHandle(
                SymbolLookup.libraryLookup(library, arena).find("read_files").orElseThrow(),
                FunctionDescriptor.of(ValueLayout.JAVA_LONG, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        paths = arena.allocate(ValueLayout.ADDRESS, files.size());
        count = files.size();
        for (int i = 0; i < count; i++) {
            paths.setAtIndex(
                    ValueLayout.ADDRESS, i, arena.allocateFrom(files.get(i).toString()));
        }
    }

    static boolean isCompilerThere() {
        return List.of(System.getenv("PATH").split(":")).stream()
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, "gcc")));
    }

    static KernelFilesInC compile(Path folder, List<Path> files) throws IOException, InterruptedException {
        Path source = Files.writeString(folder.resolve("read_files.c"), SOURCE);
        Path library = folder.resolve("libread_files.so");
        Process gcc = new ProcessBuilder("gcc", "-O2", "-shared", "-fPIC", "-o", library.toString(), source.toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(gcc.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(gcc.waitFor()).as(output).isZero();
        return new KernelFilesInC(library, files);
    }

    /** Returns how many bytes were read, or -1. */
    long read() {
        try {
            return (long) readFiles.invokeExact(paths, count);
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}
