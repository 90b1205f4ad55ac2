// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.estimate.Estimate.Rules;
import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ExitStatus;
import io.ksm4j.tools.output.SizeConverter;
import io.ksm4j.tools.sketch.FleetKey;
import io.ksm4j.tools.sketch.Sketch;
import io.ksm4j.tools.sketch.SketchFile;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ksm estimate}: estimates what merging would save, before anything is turned on. */
@Command(
        name = "estimate",
        mixinStandardHelpOptions = true,
        description = {
            "Estimates what merging all memory of these processes would save and cost, before anything is turned on.",
            "Reads their memory page by page while they run, and changes nothing. Counts only pages in memory that ksmd"
                    + " could merge: private pages not backed by a file. Pages in huge pages count too, because ksmd"
                    + " splits them. Pages on swap, and pages written later, cannot be included.",
            "WITHIN is what a process would save on its own; ACROSS is what it would save in addition because other"
                    + " processes have the same pages.",
            "For forked processes, list the whole family: a page shared with a process that is not listed stays in"
                    + " memory, whatever merges with it."
        },
        sortOptions = false,
        footer = "%nNeeds root. Exits with 1 if a process could not be read completely; what could be read is counted.")
public final class EstimateCommand implements Callable<Integer> {

    @Parameters(arity = "1..*", paramLabel = "PID", description = "processes; each counts once")
    private List<Long> pids = List.of();

    @Option(
            names = "--marked",
            description = "count only memory that is already marked mergeable: what will merge once ksmd runs")
    private boolean marked;

    @Option(
            names = "--native",
            description =
                    "count only memory of native libraries, as ksm attach --native marks it: what malloc has mapped for"
                            + " requests of more than 1 MiB. Memory that libraries map in another way cannot be told"
                            + " from the JVM's own from outside")
    private boolean onlyNative;

    @Option(
            names = "--stable",
            paramLabel = "SECONDS",
            description =
                    "read twice, this many seconds apart, and count only pages that did not change: ksmd merges no"
                            + " others")
    private int stable;

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = {
                "maximum size of the table of page contents, such as 64m or 4g (default: 256m): 16 bytes for each"
                        + " distinct page; at most half of Java's heap",
                "If the table is too small, half of the contents are counted, selected by hash, or a quarter, and so"
                        + " on."
            })
    private long memory = 256 << 20;

    @Option(
            names = "--sample",
            paramLabel = "N",
            description = "count one in N contents from the start; a power of two (default: ${DEFAULT-VALUE})")
    private int sample = 1;

    @Option(
            names = "--sketch",
            paramLabel = "FILE",
            description =
                    "write a sketch of each process to FILE, at most 1 MiB a process, instead of an estimate: ksm place"
                            + " compares sketches from all hosts")
    private @Nullable Path sketch;

    @Option(
            names = "--key-file",
            paramLabel = "FILE",
            description =
                    "the secret of your fleet, without which a sketch does not show whether a process has a known page;"
                            + " needed with --sketch")
    private @Nullable Path keyFile;

    @Option(
            names = "--group",
            paramLabel = "NAME",
            description = "with --sketch, the group of these processes, such as the service of which they are replicas"
                    + " (default: for each process, its name)")
    private @Nullable String group;

    @Option(names = "--json", description = "print JSON")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        Estimator.Options options = options();
        Set<Long> processes = processes();
        Rules rules = rules();
        Estimator estimator = new Estimator(rules, options);
        if (sketch != null && keyFile != null) {
            writeSketch(sketch, FleetKey.read(keyFile), rules, estimator, processes);
            return estimator.isComplete() ? ExitStatus.SUCCESS : ExitStatus.FAILURE;
        }
        ReadProgress progress = new ReadProgress();
        Optional<Estimate> estimate;
        try (progress) {
            estimate = estimator.estimate(processes, progress);
        }
        if (estimate.isPresent()) {
            EstimateReport report = new EstimateReport(estimate.get(), progress);
            if (json) {
                report.printJson();
            } else {
                report.print();
            }
        }
        return estimator.isComplete() ? ExitStatus.SUCCESS : ExitStatus.FAILURE;
    }

    private void writeSketch(Path file, FleetKey key, Rules rules, Estimator estimator, Set<Long> processes)
            throws IOException, InterruptedException {
        SketchFile.requireDirectory(file);
        List<Sketch> sketches;
        try (ReadProgress progress = new ReadProgress()) {
            sketches = estimator.sketch(processes, key, group, progress);
        }
        if (sketches.isEmpty()) {
            return;
        }
        SketchFile.write(
                file,
                new Sketch.Machine(key, (int) rules.pageSize(), rules.maxPageSharing(), rules.useZeroPages()),
                sketches);
        SketchReport report = new SketchReport(sketches, rules.pageSize());
        if (json) {
            report.printJson();
        } else {
            report.print();
        }
    }

    private Estimator.Options options() {
        ArgumentChecks.require(
                spec,
                sketch == null || keyFile != null,
                "--sketch needs --key-file FILE, the secret of your fleet: " + FleetKey.ADVICE);
        ArgumentChecks.require(
                spec, sketch != null || (keyFile == null && group == null), "--key-file and --group need --sketch");
        ArgumentChecks.require(
                spec,
                group == null || Sketch.isGroup(group),
                "invalid --group " + group + ": must be a label value of Kubernetes, such as web-1");
        ArgumentChecks.require(spec, sketch == null || sample == 1, "--sketch takes no --sample: it samples by itself");
        ArgumentChecks.require(
                spec, stable >= 0 && stable <= 3600, "invalid --stable " + stable + ": must be 1 to 3600 seconds");
        ArgumentChecks.require(
                spec,
                Integer.bitCount(sample) == 1 && sample > 0,
                "invalid --sample " + sample + ": must be a power of two");
        ArgumentChecks.require(
                spec, memory >= Estimator.MIN_MEMORY, "invalid --memory " + memory + ": must be at least 16k");
        return new Estimator.Options(marked, onlyNative, stable, memory, sample);
    }

    private Set<Long> processes() {
        for (long pid : pids) {
            ArgumentChecks.requirePid(spec, pid);
        }
        return new LinkedHashSet<>(pids);
    }

    private static Rules rules() {
        KsmStats machine = KsmStats.read();
        return new Rules(
                machine.pageSize(),
                machine.maxPageSharing().orElse(256),
                machine.useZeroPages().orElse(0) == 1,
                machine.mergeAcrossNodes().orElse(1) == 1);
    }
}
