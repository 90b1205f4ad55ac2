// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Assumptions;

/** What tests need that may be missing: it skips them, or fails them if {@code ksm.required} is true. */
public final class Needed {

    private Needed() {}

    /** Requires a program on the {@code PATH}. */
    public static void program(String name, String debianPackage) {
        boolean isInstalled = Stream.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1))
                .anyMatch(directory -> Files.isExecutable(Path.of(directory, name)));
        require(isInstalled, "needs " + name + ": Debian package " + debianPackage);
    }

    /** Requires a condition. */
    public static void require(boolean condition, String reason) {
        if (!condition && Boolean.getBoolean("ksm.required")) {
            Assertions.fail("-Dksm.required=true, but the test " + reason);
        }
        Assumptions.assumeTrue(condition, reason);
    }
}
