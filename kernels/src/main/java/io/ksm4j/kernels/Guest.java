// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import io.ksm4j.spi.KsmBackend;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * The program that runs in a guest: prints the features of the kernel, and tests what ksm4j promises. The first
 * argument is the {@link Situation}; the others select classes and methods, such as {@code marks} or {@code
 * jna.aClosedRegionIsUnmapped}. The exit status is 1 if a test has failed.
 */
public final class Guest {

    private static final List<Class<?>> CLASSES = List.of(
            Jna.class,
            Jnr.class,
            Ffm.class,
            Marks.class,
            Errors.class,
            LockedMemory.class,
            Statistics.class,
            Merging.class,
            Unmerging.class,
            Settings.class,
            Tuning.class,
            Commands.class,
            NumaNodes.class,
            Swapping.class,
            LargePages.class,
            LittleMemory.class,
            ReadOnlySys.class,
            HiddenFiles.class,
            // Last, so that the others do not disturb the recording by what they leave behind.
            Recording.class);

    private Guest() {}

    /**
     * Runs the tests.
     *
     * @param arguments a situation, and the tests to run
     */
    public static void main(String[] arguments) {
        Optional<Situation> situation = arguments.length == 0 ? Optional.empty() : Situation.of(arguments[0]);
        List<String> chosen = Arrays.asList(arguments).subList(Math.min(1, arguments.length), arguments.length);
        List<Class<?>> classes = classes(chosen);
        if (situation.isEmpty() || classes.isEmpty()) {
            System.err.println("usage: Guest SITUATION [CLASS[.METHOD]...], where a class is one of "
                    + CLASSES.stream()
                            .map(type -> Results.nameOf(type.getName()))
                            .toList());
            System.exit(2);
            return;
        }
        // Emulated guests are slow.
        if (System.getProperty("ksm.tests.patience") == null) {
            System.setProperty("ksm.tests.patience", "300");
        }
        if (Backend.usable().isEmpty()) {
            System.out.println("case backends: failed: none works: " + Backend.refused());
            System.exit(1);
        }
        introduce();
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
                .selectors(classes.stream().map(type -> selectClass(type)).toList())
                .filters((PostDiscoveryFilter) test -> FilterResult.includedIf(isChosen(test, chosen)))
                .configurationParameter(
                        OnlyInCondition.SITUATION, situation.get().word())
                .build();
        Results results = new Results(System.out);
        LauncherFactory.create().execute(request, results);
        System.exit(results.haveFailed() ? 1 : 0);
    }

    private static void introduce() {
        List<String> lines = new ArrayList<>();
        lines.add("java " + Runtime.version());
        lines.add("page-size "
                + Backend.usable().values().stream()
                        .mapToLong(KsmBackend::pageSize)
                        .findFirst()
                        .orElseThrow());
        lines.add("backends " + String.join(" ", Backend.usable().keySet()));
        for (Feature feature : Feature.values()) {
            lines.add("feature " + feature.label() + ": " + (feature.isThere() ? "yes" : "no"));
        }
        for (String line : lines) {
            System.out.print("guest " + line + "\n");
            System.out.flush();
        }
    }

    private static List<Class<?>> classes(List<String> chosen) {
        return CLASSES.stream()
                .filter(type -> chosen.isEmpty()
                        || chosen.stream()
                                .anyMatch(choice -> choice.split("\\.", -1)[0].equals(Results.nameOf(type.getName()))))
                .toList();
    }

    /** Selects methods; classes are selected before. */
    private static boolean isChosen(TestDescriptor test, List<String> chosen) {
        if (chosen.isEmpty() || !(test.getSource().orElse(null) instanceof MethodSource method)) {
            return true;
        }
        String type = Results.nameOf(method.getClassName());
        return chosen.contains(type) || chosen.contains(type + "." + method.getMethodName());
    }
}
