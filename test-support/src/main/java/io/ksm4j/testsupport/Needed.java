// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/** What tests need that may be missing: it skips them, or fails them if {@code ksm.required} is true. */
final class Needed {

    private Needed() {}

    /** Requires a program on the {@code PATH}. */
    static void program(String name, String debianPackage) {
        boolean isInstalled = Stream.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, name)));
        require(isInstalled, "needs " + name + ": Debian package " + debianPackage);
    }

    static void require(boolean condition, String reason) {
        if (Boolean.getBoolean("ksm.required")) {
            assertThat(condition).as(reason).isTrue();
        }
        assumeTrue(condition, reason);
    }
}
