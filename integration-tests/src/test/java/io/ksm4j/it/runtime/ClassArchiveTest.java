// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.runtime;

import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import java.io.File;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.spi.ToolProvider;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Class archives (CDS, AOT caches) that a JVM with ksm4j writes when it exits. */
@Aside
class ClassArchiveTest {

    @TempDir
    private Path directory;

    /** Exits while the registry's threads load classes for JMX and JFR. */
    static final class EndsEarly {

        private EndsEarly() {}

        public static void main(String[] args) throws InterruptedException {
            try (MergeRegion region = Ksm.system().allocate(1)) {
                Thread publisher = thread("ksm4j-mbean");
                while (args.length > 0 && publisher.getState() == Thread.State.TIMED_WAITING) {
                    Thread.sleep(1);
                }
                Thread.sleep(args.length > 0 ? Long.parseLong(args[0]) : 0);
                System.out.println(region);
            }
        }

        private static Thread thread(String name) {
            return Thread.getAllStackTraces().keySet().stream()
                    .filter(thread -> thread.getName().equals(name))
                    .findAny()
                    .orElseThrow();
        }
    }

    @Tag("long")
    @Test
    @EnabledIfKsm
    void neitherWritingNorReadingAnArchiveCrashes() throws Exception {
        for (String moment : List.of("20", "50", "80", "110")) {
            run("-XX:ArchiveClassesAtExit=" + directory.resolve("dynamic.jsa"), moment);
            run("-XX:SharedArchiveFile=" + directory.resolve("dynamic.jsa"));
        }
        run("-XX:AOTCacheOutput=" + directory.resolve("cache.aot"), "250");
        run("-XX:AOTCache=" + directory.resolve("cache.aot"));
    }

    private void run(String option, String... arguments) throws Exception {
        List<String> command = new ArrayList<>(
                List.of(option, "--enable-native-access=ALL-UNNAMED", "-cp", classPath(), EndsEarly.class.getName()));
        command.addAll(List.of(arguments));
        ChildJvm.run(Path.of(System.getProperty("java.home")), command).assertEndedWell();
    }

    /** Archives contain classes from jars only. */
    private String classPath() throws ReflectiveOperationException, URISyntaxException {
        List<String> jars = new ArrayList<>();
        for (Class<?> type : List.of(EndsEarly.class, Ksm.class, Class.forName("io.ksm4j.ffm.FfmBackendProvider"))) {
            Path source = Path.of(
                    type.getProtectionDomain().getCodeSource().getLocation().toURI());
            jars.add(jar(source, directory.resolve(type.getSimpleName() + ".jar"))
                    .toString());
        }
        return String.join(File.pathSeparator, jars);
    }

    private static Path jar(Path source, Path jar) {
        if (!source.toFile().isDirectory()) {
            return source;
        }
        if (!jar.toFile().exists()) {
            ToolProvider.findFirst("jar")
                    .orElseThrow()
                    .run(System.out, System.err, "cf", jar.toString(), "-C", source.toString(), ".");
        }
        return jar;
    }
}
