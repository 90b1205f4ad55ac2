package io.ksm4j.it;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/** Compiles for other versions of Java. */
final class Javac {

    private Javac() {}

    /** Compiles a source file, for the oldest Java that ksm4j runs on, into a directory, which need not exist. */
    static void compile(Path source, String classPath, Path classes) throws IOException {
        compile(17, source, classPath, classes);
    }

    /** The same for another version. */
    static void compile(int release, Path source, String classPath, Path classes) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        StringWriter messages = new StringWriter();
        List<String> options = List.of(
                "--release=" + release,
                "-proc:none",
                "-cp",
                classPath,
                "-d",
                Files.createDirectories(classes).toString());
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, null)) {
            boolean compiled = compiler.getTask(messages, files, null, options, null, files.getJavaFileObjects(source))
                    .call();
            assertThat(compiled).as(messages.toString()).isTrue();
        }
    }
}
