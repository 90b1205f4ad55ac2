// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.build;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import io.ksm4j.Ksm;
import io.ksm4j.agent.KsmAgent;
import io.ksm4j.arrow.MergeableMemory;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.ffm.FfmBackendProvider;
import io.ksm4j.it.fixtures.CodeLocation;
import io.ksm4j.jna.JnaBackendProvider;
import io.ksm4j.jnr.JnrBackendProvider;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.plot.Plot;
import io.ksm4j.tck.BackendContract;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;

/** The published modules, except for the BOM. */
final class PublishedModules {

    /** A class of each module, by the name of its artifact. */
    static final Map<String, Class<?>> CLASSES = new TreeMap<>(Map.ofEntries(
            Map.entry("ksm-agent", KsmAgent.class),
            Map.entry("ksm-api", Ksm.class),
            Map.entry("ksm-arrow", MergeableMemory.class),
            Map.entry("ksm-backend-tck", BackendContract.class),
            Map.entry("ksm-control", KsmDaemon.class),
            Map.entry("ksm-ffm", FfmBackendProvider.class),
            Map.entry("ksm-jna", JnaBackendProvider.class),
            Map.entry("ksm-jnr", JnrBackendProvider.class),
            Map.entry("ksm-junit", RunningKsmd.class),
            Map.entry("ksm-micrometer", KsmMetrics.class),
            Map.entry("ksm-plot", Plot.class),
            Map.entry("ksm-tools", command())));

    /** The classes of all modules. */
    static final JavaClasses ALL = new ClassFileImporter()
            .withImportOption(location -> CLASSES.keySet().stream().anyMatch(module -> location.contains(path(module))))
            .importPackages("io.ksm4j");

    private PublishedModules() {}

    /** The class is not public. */
    private static Class<?> command() {
        try {
            return Class.forName("io.ksm4j.tools.KsmCommand");
        } catch (ClassNotFoundException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String path(String module) {
        return CodeLocation.of(Objects.requireNonNull(CLASSES.get(module))).toString();
    }

    /** Returns the classes of one module. */
    static JavaClasses of(String module) {
        String path = path(module);
        return ALL.that(DescribedPredicate.describe(
                "are in " + module,
                (JavaClass type) -> type.getSource()
                        .map(source -> source.getUri().toString().contains(path))
                        .orElse(false)));
    }
}
