// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.ExitStatus;
import io.ksm4j.tools.output.SizeConverter;
import io.ksm4j.tools.sketch.Sketch;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code ksm place}: proposes which processes to run on the same hosts. */
@Command(
        name = "place",
        mixinStandardHelpOptions = true,
        description = {
            "Compares sketches of processes, and proposes which of them to run on the same hosts because they have many"
                    + " equal pages.",
            "Shows which pairs have most in common, what each group would save on one host, the proposed hosts, and"
                    + " affinities for Kubernetes that lead to a similar distribution. Reads only these files, and"
                    + " needs no key.",
            "ACROSS is what merging saves because processes on the same host have the same pages; SAVED includes what"
                    + " each process would save on its own."
        },
        sortOptions = false,
        footer = "%nWrite sketches with ksm estimate --sketch. Exits with 1 if a file is not a sketch, or no"
                + " distribution within the limits was found.")
public final class PlaceCommand implements Callable<Integer> {

    /** Of entries with 8 bytes of hash and 4 bytes of count, and as much again to compare them. */
    private static final long MAX_CONTENTS = 16_000_000;

    private static final long BYTES_PER_CONTENT = 64;

    private static final long MAX_MEMBERS = 4_000_000;

    /** Less than a page, because the kernel needs a record for each merged page. */
    private static final int RECORD = 64;

    @Parameters(arity = "1..*", paramLabel = "SKETCH", description = "files that ksm estimate --sketch has written")
    private List<Path> files = List.of();

    @Option(names = "--hosts", required = true, paramLabel = "N", description = "how many hosts there are")
    private int hosts;

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = {
                "the memory of a host for these processes, such as 64g (default: the average of all hosts,"
                        + " plus the largest process)",
                "A process needs its resident memory, because pages that are written to no longer merge."
            })
    private long memory;

    @Option(
            names = "--overcommit",
            description =
                    "with --memory, let the limit apply to what is left after merging. Hosts then run short of memory"
                            + " if merged pages change")
    private boolean overcommit;

    @Option(
            names = "--spread",
            paramLabel = "GROUP=K",
            description = "at most K processes of this group on a host; may be repeated")
    private Map<String, Integer> spread = new LinkedHashMap<>();

    @Option(
            names = "--pairs",
            paramLabel = "N",
            description = "how many pairs of processes to show (default: ${DEFAULT-VALUE})")
    private int pairs = 20;

    @Option(
            names = "--label",
            paramLabel = "KEY",
            description = "the label of pods in Kubernetes whose value is the group (default: ${DEFAULT-VALUE})")
    private String label = "app";

    @Option(names = "--json", description = "print JSON")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        checkArguments();
        long heap = Runtime.getRuntime().maxMemory();
        Fleet fleet = Fleet.read(files, Math.min(MAX_CONTENTS, heap / BYTES_PER_CONTENT));
        List<String> groups =
                fleet.sketches().stream().map(Sketch::group).distinct().sorted().toList();
        Task task = task(fleet, groups);
        if ((double) task.processes() * task.hosts() * Double.BYTES > heap / 2.0) {
            throw new CommandFailedException(task.processes() + " processes and " + hosts
                    + " hosts need more memory: raise Java's heap (KSM_JAVA_OPTIONS=-Xmx8g)");
        }
        int[] hostOf = (task.processes() <= ExactSearch.MAX_PROCESSES ? ExactSearch.best(task) : LocalSearch.best(task))
                .orElseThrow(() -> nothingFits(task));
        Placement placement = Placement.of(fleet, groups, task, hostOf, pairs);
        PlacementReport report = new PlacementReport(placement, new Kubernetes(placement, label));
        if (json) {
            report.printJson();
        } else {
            report.print();
        }
        return ExitStatus.SUCCESS;
    }

    private void checkArguments() {
        ArgumentChecks.require(spec, hosts >= 1, "invalid --hosts " + hosts + ": must be at least 1");
        ArgumentChecks.require(spec, pairs >= 0, "invalid --pairs " + pairs + ": must be at least 0");
        ArgumentChecks.require(spec, !overcommit || memory > 0, "--overcommit needs --memory");
        ArgumentChecks.require(
                spec,
                label.matches("([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"),
                "invalid --label " + label + ": must be a label key of Kubernetes, such as app");
        spread.forEach((group, max) -> ArgumentChecks.require(
                spec, max >= 1, "invalid --spread " + group + "=" + max + ": must be at least 1"));
        ArgumentChecks.require(
                spec,
                files.stream().map(Path::normalize).distinct().count() == files.size(),
                "specify each sketch once");
    }

    private Task task(Fleet fleet, List<String> groups) {
        List<Sketch> sketches = fleet.sketches();
        int[] groupOf = sketches.stream()
                .mapToInt(sketch -> groups.indexOf(sketch.group()))
                .toArray();
        int[] maxOfGroup = new int[groups.size()];
        Arrays.fill(maxOfGroup, Integer.MAX_VALUE);
        spread.forEach((name, max) -> maxOfGroup[limited(name, max, groups, groupOf)] = max);
        double[] used = sketches.stream()
                .mapToDouble(sketch -> overcommit
                        ? sketch.memory()
                                - Saving.of(List.of(sketch), fleet.machine()).profit()
                        : sketch.memory())
                .toArray();
        int usable = Math.min(hosts, sketches.size());
        Task task = new Task(
                new Sharing(sketches.stream().map(Sketch::sample).toList(), MAX_MEMBERS),
                usable,
                (double) memory,
                used,
                overcommit ? fleet.machine().pageSize() - RECORD : 0,
                groupOf,
                maxOfGroup);
        if (memory == 0) {
            double average = Arrays.stream(used).sum() / usable;
            double largest = Arrays.stream(used).max().orElse(0);
            return task.withMaxMemory(Math.max(average + largest, task.maxOf(task.evenly())));
        }
        for (int process = 0; process < used.length; process++) {
            if (used[process] > memory) {
                throw new CommandFailedException(fleet.members().get(process).name() + " needs "
                        + ByteCount.text((long) used[process]) + ", more than a host has: raise --memory");
            }
        }
        return task;
    }

    /** Returns the number of a group whose processes can be spread that much. */
    private int limited(String name, int max, List<String> groups, int[] groupOf) {
        int group = groups.indexOf(name);
        if (group < 0) {
            throw new CommandFailedException(
                    "no process belongs to the group " + name + ": the groups are " + String.join(", ", groups));
        }
        long size = Arrays.stream(groupOf).filter(of -> of == group).count();
        if (size > (long) max * hosts) {
            throw new CommandFailedException("--spread " + name + "=" + max + " allows " + (long) max * hosts
                    + " processes on " + hosts + " hosts, but the group has " + size + ": raise one of the two");
        }
        return group;
    }

    private static CommandFailedException nothingFits(Task task) {
        return new CommandFailedException("found no distribution of " + task.processes() + " processes that fits on "
                + task.hosts() + " hosts with " + ByteCount.text((long) task.maxMemory())
                + " each: raise --hosts or --memory, or relax --spread");
    }
}
