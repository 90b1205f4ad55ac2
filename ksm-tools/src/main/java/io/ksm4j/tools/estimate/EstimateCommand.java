// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.estimate.Estimate.Rules;
import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ExitStatus;
import java.io.IOException;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

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

    @Option(names = "--json", description = "print JSON")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException, InterruptedException {
        Estimator.Options options = options();
        Set<Long> processes = processes();
        Estimator estimator = new Estimator(rules(), options);
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

    private Estimator.Options options() {
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

    /** Reads sizes such as 64m and 4g. */
    private static final class SizeConverter implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            if (!text.matches("[0-9]{1,9}[kmgKMG]?")) {
                throw new TypeConversionException("'" + text + "' is not a size such as 64m or 4g");
            }
            String digits = text.replaceAll("[a-zA-Z]", "");
            int unit = "kmg".indexOf(text.substring(digits.length()).toLowerCase(Locale.ROOT));
            return Long.parseLong(digits) << (digits.equals(text) ? 0 : 10 * (unit + 1));
        }
    }
}
