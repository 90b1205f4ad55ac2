// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.doctor;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.stats.ProcessKsmStats;
import io.ksm4j.tools.doctor.Check.Verdict;
import io.ksm4j.tools.output.Json;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code ksm doctor}: checks whether merging can work here, and what to do if it cannot. */
@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        description = "Checks everything that merging depends on, and shows problems and how to fix them.",
        footer = "%nExits with 0 if merging can work, with 1 if it cannot, with 3 if it could after the commands shown,"
                + " and with 4 if that is unknown.")
public final class DoctorCommand implements Callable<Integer> {

    @Option(names = "--json", description = "print JSON")
    private boolean json;

    @Override
    public Integer call() {
        List<Check> checks = new ArrayList<>();
        if (System.getProperty("os.name").equals("Linux")) {
            checks.addAll(new MachineChecks(Path.of("/"), KsmStats.read(), ProcessKsmStats.read()).all());
            checks.addAll(new JvmChecks().all());
        } else {
            checks.add(Check.failed("kernel", System.getProperty("os.name") + " has no KSM", "run on Linux"));
        }
        Diagnosis diagnosis = Diagnosis.of(checks);
        if (json) {
            printJson(checks, diagnosis);
        } else {
            print(checks, diagnosis);
        }
        return diagnosis.exitStatus();
    }

    private static void print(List<Check> checks, Diagnosis diagnosis) {
        int width =
                checks.stream().mapToInt(check -> check.name().length()).max().orElse(0);
        for (Check check : checks) {
            System.out.printf("%-7s  %-" + width + "s  %s%n", check.verdict().word(), check.name(), check.reason());
            if (!check.cure().isEmpty()) {
                System.out.printf("%-7s  %-" + width + "s  -> %s%n", "", "", check.cure());
            }
        }
        switch (diagnosis) {
            case WORKS -> System.out.println("Merging can work here.");
            case CANNOT -> System.out.println("Merging cannot work here.");
            case FIXABLE -> printCures("Merging would work here after:", checks, Verdict.FIXABLE);
            case UNKNOWN ->
                printCures("It is unknown whether merging works here. To find out:", checks, Verdict.UNKNOWN);
        }
    }

    private static void printCures(String heading, List<Check> checks, Verdict verdict) {
        System.out.println(heading);
        checks.stream()
                .filter(check -> check.verdict() == verdict)
                .map(Check::cure)
                .distinct()
                .forEach(cure -> System.out.println("  " + cure));
    }

    private static void printJson(List<Check> checks, Diagnosis diagnosis) {
        List<Map<String, Object>> found = new ArrayList<>();
        for (Check check : checks) {
            Map<String, Object> entry = new LinkedHashMap<>();
            entry.put("name", check.name());
            entry.put("verdict", check.verdict().word());
            entry.put("reason", check.reason());
            entry.put("cure", check.cure());
            found.add(entry);
        }
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("canMerge", diagnosis.canMerge());
        answer.put("verdict", diagnosis.word());
        answer.put("checks", found);
        System.out.println(Json.of(answer));
    }
}
