package io.ksm4j.tools.estimate;

import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.estimate.Estimate.OfProcess;
import io.ksm4j.tools.estimate.Estimate.Rules;
import io.ksm4j.tools.output.ArgumentChecks;
import io.ksm4j.tools.output.ByteCount;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.Console;
import io.ksm4j.tools.output.ExitStatus;
import io.ksm4j.tools.output.Json;
import io.ksm4j.tools.status.Processes;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.ToLongFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code ksm estimate}: what merging would save, before anything is turned on. */
@Command(
        name = "estimate",
        mixinStandardHelpOptions = true,
        description = {
            "Estimates what merging all memory of these processes would save and cost, before anything is turned on.",
            "Reads their memory, page by page, while they go on; changes nothing. Only pages in memory that ksmd could merge"
                    + " count: private ones that no file stands behind. Those in huge pages count, too: ksmd splits huge pages."
                    + " What a process has on swap, or writes later, cannot be known.",
            "WITHIN is what a process would save alone; ACROSS what it would save further as others have the same.",
            "Of processes that were forked, give all: a page that one which is not given shares stays, whatever merges with it."
        },
        sortOptions = false,
        footer =
                "%nNeeds root. Exits with 1 if one of the processes could not be read to its end; what could be is counted.")
public final class EstimateCommand implements Callable<Integer> {

    private static final int MIN_SLOTS = 1024;

    @Parameters(arity = "1..*", paramLabel = "PID", description = "processes; each counts once")
    private List<Long> pids = List.of();

    @Option(
            names = "--marked",
            description = "count only memory that is marked mergeable already: what will merge once ksmd runs")
    private boolean marked;

    @Option(
            names = "--stable",
            paramLabel = "SECONDS",
            description = "read twice, so long apart, and count only pages that did not change: ksmd merges no others")
    private int stable;

    @Option(
            names = "--memory",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = {
                "what the table of contents may take, such as 64m or 4g (default: 256m): 16 bytes for each different page;"
                        + " half of Java's heap at most",
                "If that is too little, half of all contents are counted, chosen by their hashes, or a quarter, and so on."
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

    private boolean failed;

    /** A process to look at. */
    private record Target(long pid, String name, List<PrivateMapping> mappings) {

        long sum(ToLongFunction<PrivateMapping> bytes) {
            return mappings.stream().mapToLong(bytes).sum();
        }
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        ArgumentChecks.require(spec, stable >= 0 && stable <= 3600, "--stable is from 1 to 3600 seconds");
        ArgumentChecks.require(spec, Integer.bitCount(sample) == 1 && sample > 0, "--sample is a power of two");
        ArgumentChecks.require(spec, memory >= MIN_SLOTS * ContentTable.ENTRY_BYTES, "--memory is 16k or more");
        for (long pid : pids) {
            ArgumentChecks.requirePid(spec, pid);
        }
        KsmStats machine = KsmStats.read();
        Rules rules = new Rules(
                machine.pageSize(),
                machine.maxPageSharing().orElse(256),
                machine.useZeroPages().orElse(0) == 1,
                machine.mergeAcrossNodes().orElse(1) == 1);
        List<Target> targets = targets();
        if (!targets.isEmpty()) {
            ReadProgress progress = new ReadProgress();
            Estimate estimate;
            try (progress) {
                estimate = estimate(rules, targets, progress);
            }
            print(estimate, progress);
        }
        return failed ? ExitStatus.FAILURE : ExitStatus.SUCCESS;
    }

    private void leaveOut(String message) {
        Console.say(message);
        failed = true;
    }

    private List<Target> targets() throws IOException {
        List<Target> targets = new ArrayList<>();
        for (long pid : new LinkedHashSet<>(pids)) {
            Path directory = Processes.directory(pid);
            String obstacle = obstacle(pid, directory);
            if (obstacle != null) {
                leaveOut(obstacle);
                continue;
            }
            try {
                List<PrivateMapping> mappings = PrivateMapping.read(directory.resolve("smaps")).stream()
                        .filter(mapping -> !marked || mapping.marked())
                        .toList();
                targets.add(new Target(pid, Processes.nameOf(pid), mappings));
            } catch (AccessDeniedException e) {
                leaveOut("no right to read the memory of process " + pid + ": ask as root");
            } catch (IOException e) {
                if (Files.isDirectory(directory)) {
                    throw e;
                }
                leaveOut("process " + pid + " has ended meanwhile: it is left out");
            }
        }
        return targets;
    }

    /** Why there is nothing to read; null if there is. */
    private static @Nullable String obstacle(long pid, Path directory) {
        if (pid == ProcessHandle.current().pid()) {
            return pid + " is this command itself: its memory changes as it looks";
        }
        String status;
        try {
            status = Files.readString(directory.resolve("status"), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return Files.isDirectory(directory)
                    ? "no right to look at process " + pid + ": ask as root"
                    : "there is no process " + pid + ": ps -e shows them";
        }
        Matcher group = Pattern.compile("(?m)^Tgid:\\s*(\\d+)$").matcher(status);
        if (group.find() && Long.parseLong(group.group(1)) != pid) {
            return pid + " is a thread: give its process, " + group.group(1);
        }
        if (status.contains("\nVmRSS:")) {
            return null;
        }
        return Pattern.compile("(?m)^State:\\s*[ZX]").matcher(status).find()
                ? "process " + pid + " has ended, and its parent has not read its exit status: it has no memory left"
                : pid + " is a kernel thread: it has no memory of its own";
    }

    private Estimate estimate(Rules rules, List<Target> targets, ReadProgress progress)
            throws IOException, InterruptedException {
        long expected = targets.stream()
                .mapToLong(target -> target.sum(PrivateMapping::anonymous))
                .sum();
        progress.expect(stable > 0 ? 2 * expected : expected);
        long room = Math.min(memory, Runtime.getRuntime().maxMemory() / 2);
        List<InitialHashes> looks = stable > 0 ? firstLooks(rules, targets, room / 2, progress) : List.of();
        room -= looks.stream().mapToLong(InitialHashes::bytes).sum();
        ContentTable table = new ContentTable(
                slots(expected / rules.pageSize() / sample, room), Integer.numberOfTrailingZeros(sample));
        List<Counter> counters = new ArrayList<>();
        try (PageFrames frames = frames()) {
            for (Target target : targets) {
                InitialHashes look = looks.isEmpty() ? null : looks.get(counters.size());
                Counter counter = new Counter(table, look, ProcessPages.hashOfZeros((int) rules.pageSize()));
                counters.add(counter);
                table.nextProcess();
                counter.tally = look(rules, target, frames, progress, counter);
                if (counter.tally.ended) {
                    progress.clear();
                    leaveOut("process " + target.pid + " has ended meanwhile: what was read of it is counted");
                }
            }
        }
        List<OfProcess> processes = new ArrayList<>();
        for (int i = 0; i < targets.size(); i++) {
            processes.add(counters.get(i).of(targets.get(i), i, rules));
        }
        return new Estimate(rules, processes, table.contents(), table.groups(rules.maxPageSharing()), table.sampling());
    }

    private List<InitialHashes> firstLooks(Rules rules, List<Target> targets, long room, ReadProgress progress)
            throws IOException, InterruptedException {
        List<InitialHashes> looks = new ArrayList<>();
        long left = room;
        try (PageFrames frames = frames()) {
            for (Target target : targets) {
                InitialHashes look = new InitialHashes(rules.pageSize(), left);
                looks.add(look);
                look(rules, target, frames, progress, look);
                left -= look.bytes();
            }
        }
        long start = System.nanoTime();
        TimeUnit.SECONDS.sleep(stable);
        progress.pause(System.nanoTime() - start);
        return looks;
    }

    private static PageFrames frames() throws IOException {
        try {
            return new PageFrames();
        } catch (AccessDeniedException e) {
            throw new CommandFailedException("no right to read /proc/kpageflags: ask as root", e);
        }
    }

    /** For so many pages, and a third more, if there is room for that. */
    private static int slots(long pages, long room) {
        long most = room / ContentTable.ENTRY_BYTES;
        long wanted = Long.highestOneBit(Math.max(pages / 3 * 4, MIN_SLOTS) - 1) << 1;
        return (int) Math.max(MIN_SLOTS, Math.min(Math.min(wanted, Long.highestOneBit(most)), ContentTable.MAX_SLOTS));
    }

    private ProcessPages.Tally look(
            Rules rules, Target target, PageFrames frames, ReadProgress progress, ProcessPages.Visitor visitor)
            throws IOException {
        Path directory = Processes.directory(target.pid);
        ProcessPages pages;
        try {
            pages = new ProcessPages(directory, (int) rules.pageSize(), frames, progress);
        } catch (AccessDeniedException e) {
            throw new CommandFailedException(
                    "no right to read the memory of process " + target.pid + ": ask as root", e);
        } catch (IOException e) {
            ProcessPages.Tally nothing = new ProcessPages.Tally();
            nothing.ended = true;
            return nothing;
        }
        try (pages) {
            return pages.visit(target.mappings, visitor);
        }
    }

    /** Counts the pages of one process. */
    private static final class Counter implements ProcessPages.Visitor {

        private final ContentTable table;
        private final @Nullable InitialHashes first;
        private final long hashOfZeros;

        private long read;
        private long zeros;
        private long shared;
        private long changed;
        private ProcessPages.Tally tally = new ProcessPages.Tally();

        Counter(ContentTable table, @Nullable InitialHashes first, long hashOfZeros) {
            this.table = table;
            this.first = first;
            this.hashOfZeros = hashOfZeros;
        }

        @Override
        public void page(long address, long hash) {
            if (first != null && !first.isSame(address, hash)) {
                changed++;
                return;
            }
            read++;
            if (hash == hashOfZeros) {
                zeros++;
            } else {
                table.add(hash);
            }
        }

        @Override
        public void sharedPage() {
            shared++;
        }

        OfProcess of(Target target, int index, Rules rules) {
            return new OfProcess(
                    target.pid,
                    target.name,
                    !tally.ended,
                    read,
                    zeros,
                    shared,
                    changed,
                    table.contents(index),
                    table.elsewhere(index),
                    tally.swapped,
                    tally.unread,
                    target.sum(PrivateMapping::huge) / rules.pageSize());
        }
    }

    private void print(Estimate estimate, ReadProgress progress) {
        double seconds = progress.seconds();
        if (json) {
            Map<String, Object> values = estimate.values();
            values.put("readBytes", progress.done());
            values.put("seconds", seconds);
            System.out.println(Json.of(values));
            return;
        }
        PrintStream out = System.out;
        out.printf(
                "%10s %11s %11s %11s %11s %11s  %s%n",
                "PID", "CANDIDATES", "ZEROS", "WITHIN", "ACROSS", "COST", "NAME");
        for (OfProcess process : estimate.processes()) {
            out.printf(
                    "%10d %11s %11s %11s %11s %11s  %s%n",
                    process.pid(),
                    text(estimate, process.candidates()),
                    text(estimate, process.zeros()),
                    text(estimate, estimate.within(process)),
                    text(estimate, estimate.across(process)),
                    ByteCount.text(estimate.costBytes(process)),
                    process.name());
        }
        out.println();
        line("candidates", text(estimate, estimate.candidates()) + " that ksmd would look at");
        part("shared", estimate, OfProcess::shared, " of it shared already, by fork or merged");
        part("changed", estimate, OfProcess::changed, " of it changed between the two looks");
        part("huge", estimate, OfProcess::huge, " of it in huge pages, which ksmd splits");
        part("swapped", estimate, OfProcess::swapped, " on swap not counted");
        part("unread", estimate, OfProcess::unread, " gone before it could be read");
        String limit = estimate.extraCopies() == 0
                ? ""
                : ", less " + text(estimate, estimate.extraCopies()) + " since at most "
                        + estimate.rules().maxPageSharing() + " share a page";
        line(
                "saved",
                ByteCount.text(estimate.savedBytes()) + ": " + text(estimate, estimate.within())
                        + " within processes and " + text(estimate, estimate.across()) + " across" + limit);
        if (!estimate.rules().acrossNodes()) {
            line("nodes", "pages of different NUMA nodes counted as if they merged, which merge_across_nodes forbids");
        }
        if (estimate.sampling() > 1) {
            line(
                    "sampled",
                    "one in " + estimate.sampling() + " contents: what is saved is within "
                            + ByteCount.text(estimate.errorBytes()) + " of that in 19 of 20 cases");
        }
        line("cost", ByteCount.text(estimate.costBytes()) + " of records");
        line("profit", ByteCount.text(estimate.profitBytes()));
        line(
                "read",
                ByteCount.text(progress.done())
                        + String.format(Locale.ROOT, " in %.1f s, ", seconds)
                        + progress.rate());
    }

    private static String text(Estimate estimate, long pages) {
        return ByteCount.text(estimate.bytes(pages));
    }

    private static void part(String name, Estimate estimate, ToLongFunction<OfProcess> pages, String rest) {
        long sum = estimate.processes().stream().mapToLong(pages).sum();
        if (sum > 0) {
            line(name, text(estimate, sum) + rest);
        }
    }

    private static void line(String name, String value) {
        System.out.printf("%-10s  %s%n", name, value);
    }

    /** Reads sizes such as 64m and 4g. */
    private static final class SizeConverter implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            if (!text.matches("[0-9]{1,9}[kmgKMG]?")) {
                throw new TypeConversionException("'" + text + "' is no size, such as 64m or 4g");
            }
            String digits = text.replaceAll("[a-zA-Z]", "");
            int unit = "kmg".indexOf(text.substring(digits.length()).toLowerCase(Locale.ROOT));
            return Long.parseLong(digits) << (digits.equals(text) ? 0 : 10 * (unit + 1));
        }
    }
}
