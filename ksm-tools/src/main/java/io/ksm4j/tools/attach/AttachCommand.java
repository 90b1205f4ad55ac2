// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.attach;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.ExitStatus;
import io.ksm4j.tools.output.Json;
import io.ksm4j.tools.status.ProcessInfo;
import io.ksm4j.tools.status.Processes;
import io.ksm4j.tools.status.StatusJson;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ksm attach}: opts a running JVM in or out. */
@Command(
        name = "attach",
        mixinStandardHelpOptions = true,
        description = {
            "Opts a running JVM in or out as a whole, and registers the MXBeans of ksm4j in it.",
            "",
            "A Java heap gains little: objects have a different layout in every JVM, so hardly any two pages are equal,"
                    + " except zero pages. The costs: ksmd scans all memory of the JVM and keeps 64 bytes of"
                    + " records for each page that it has scanned, and merged pages are copied on write. Try it, run"
                    + " ksm status PID after some scans, and opt out again if the profit is negative."
        },
        footer = {
            "",
            "The JVM must run Java 17 or later and belong to the same user, unless you are root. Java 21 and later"
                    + " print a warning that an agent was loaded on the standard error of the JVM, unless it runs with"
                    + " -XX:+EnableDynamicAgentLoading. Processes that the JVM starts inherit the mark. In a container,"
                    + " processes have different PIDs than outside."
        })
public final class AttachCommand implements Callable<Integer> {

    /** At most one of these options. */
    private static final class Wish {

        @Option(names = "--on", description = "opt the JVM in (default)")
        private boolean on;

        @Option(
                names = "--native",
                description = "mark only the memory of native libraries, and opt the JVM out otherwise: see"
                        + " docs/agent.md")
        private boolean onlyNative;

        @Option(
                names = "--off",
                description = "opt the JVM out, unmerge its pages, and remove its own marks, except those of ksm4j")
        private boolean off;

        @Option(names = "--status", description = "change nothing; show whether the JVM is opted in")
        private boolean status;

        String merge() {
            if (onlyNative) {
                return "native";
            }
            boolean in = on || (!off && !status);
            return in ? "on" : off ? "off" : "keep";
        }
    }

    @ArgGroup(exclusive = true)
    private Wish wish = new Wish();

    @Option(
            names = "--min",
            paramLabel = "SIZE",
            description = "with --native: the size from which memory is marked, such as 512k (default: 1m)")
    private @Nullable String min;

    @Option(names = "--json", description = "print JSON")
    private boolean json;

    @Parameters(paramLabel = "PID", description = "PID of the JVM")
    private long pid;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        ArgumentChecks.requirePid(spec, pid);
        ArgumentChecks.require(spec, min == null || wish.onlyNative, "--min needs --native");
        ArgumentChecks.require(
                spec,
                min == null || min.matches("[0-9]{1,9}[kmgKMG]?"),
                "invalid --min " + min + ": not a size such as 2m");
        ProcessInfo before = Processes.read(pid);
        Properties answer = TargetJvm.attach(pid).tell("merge=" + wish.merge() + (min == null ? "" : ",min=" + min));
        String error = answer.getProperty("error");
        if (error != null) {
            throw new CommandFailedException(name(before) + ": " + error);
        }
        boolean wasOptedIn = Boolean.parseBoolean(answer.getProperty("wasOptedIn"));
        boolean isOptedIn = Boolean.parseBoolean(answer.getProperty("isOptedIn"));
        OptionalLong nativeBytes = answer.containsKey("nativeBytes")
                ? OptionalLong.of(Long.parseLong(answer.getProperty("nativeBytes")))
                : OptionalLong.empty();
        ProcessInfo now = Processes.read(pid);
        if (json) {
            Map<String, Object> values = new LinkedHashMap<>();
            values.put("wasOptedIn", wasOptedIn);
            values.put("isOptedIn", isOptedIn);
            values.put("nativeBytes", nativeBytes);
            values.put("backend", answer.getProperty("backend"));
            values.put("process", StatusJson.of(now));
            System.out.println(Json.of(values));
        } else {
            lines(now, wasOptedIn, isOptedIn, nativeBytes, KsmStats.read()).forEach(System.out::println);
        }
        return ExitStatus.SUCCESS;
    }

    static List<String> lines(
            ProcessInfo process, boolean wasOptedIn, boolean isOptedIn, OptionalLong nativeBytes, KsmStats machine) {
        List<String> lines = new ArrayList<>();
        lines.add(name(process)
                + (wasOptedIn == isOptedIn ? " is " : " is now ")
                + (isOptedIn ? "opted in" : "opted out")
                + (nativeBytes.isPresent() ? ", and merges " + ByteCount.text(nativeBytes) + " of native memory" : ""));
        lines.add("merged " + ByteCount.text(process.stats().mergedBytes()) + ", cost "
                + ByteCount.text(process.costBytes()) + ", profit "
                + ByteCount.text(process.stats().profitBytes()));
        boolean isJustOut = wasOptedIn && !isOptedIn && Processes.isCounted(process.stats());
        if (isJustOut || Processes.isStale(process.stats())) {
            lines.add("These counters are outdated: the kernel corrects them in ksmd's next scan"
                    + (machine.run().orElse(1) == 0 ? ", but ksmd is stopped." : "."));
        }
        if ((isOptedIn && !wasOptedIn) || nativeBytes.orElse(0) > 0) {
            lines.add("ksmd merges equal pages in its next scans: ksm status " + process.pid() + " shows the result.");
        }
        return lines;
    }

    private static String name(ProcessInfo process) {
        return process.pid() + " " + process.name();
    }
}
