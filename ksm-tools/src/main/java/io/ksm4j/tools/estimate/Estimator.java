// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.NativeMemoryOptions;
import io.ksm4j.internal.linux.NativeMappings;
import io.ksm4j.internal.linux.NativeMappings.Range;
import io.ksm4j.internal.linux.NativeMappings.Snapshot;
import io.ksm4j.internal.linux.Smaps;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.estimate.Estimate.OfProcess;
import io.ksm4j.tools.estimate.Estimate.Rules;
import io.ksm4j.tools.linux.BackendSearch;
import io.ksm4j.tools.linux.ProcessStatus;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.Console;
import io.ksm4j.tools.sketch.FleetKey;
import io.ksm4j.tools.sketch.Sketch;
import io.ksm4j.tools.status.Processes;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.ToLongFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Reads the memory of processes and counts equal pages. For use by one thread. */
final class Estimator {

    private static final int MIN_SLOTS = 1024;

    /** The minimum of {@link Options#memory}, in bytes. */
    static final long MIN_MEMORY = MIN_SLOTS * ContentTable.ENTRY_BYTES;

    /** For less memory, reading pagemap takes less time than loading a backend. */
    private static final long MIN_SCANNED = 64L << 30;

    private final Rules rules;
    private final Options options;

    private boolean isComplete = true;

    private @Nullable BackendSearch search;

    /**
     * What is counted, and with how much memory.
     *
     * @param marked whether only memory that is marked mergeable counts
     * @param onlyNative whether only memory of native libraries counts
     * @param stableSeconds the time between two reads, of which only unchanged pages count; 0 to read once
     * @param memory the maximum size of the tables in bytes, at least {@link #MIN_MEMORY}
     * @param sample how many contents one of the sample stands for at the start; a power of two
     */
    record Options(boolean marked, boolean onlyNative, int stableSeconds, long memory, int sample) {}

    /** A process to read. */
    private record Target(long pid, String name, List<PrivateMapping> mappings) {

        long sum(ToLongFunction<PrivateMapping> bytes) {
            return mappings.stream().mapToLong(bytes).sum();
        }
    }

    Estimator(Rules rules, Options options) {
        this.rules = rules;
        this.options = options;
    }

    /**
     * Reads processes. Skips processes that cannot be read, and says why.
     *
     * @return what merging them would save; empty if none could be read
     * @throws CommandFailedException if this user may not read memory, or the options leave too little room
     * @throws IOException if a file of the kernel cannot be read
     */
    Optional<Estimate> estimate(Set<Long> pids, ReadProgress progress) throws IOException, InterruptedException {
        List<Target> targets = targets(pids);
        return targets.isEmpty() ? Optional.empty() : Optional.of(estimate(targets, progress));
    }

    /** {@return whether every process has been read to its end so far} */
    boolean isComplete() {
        return isComplete;
    }

    private void skip(String message) {
        Console.say(message);
        isComplete = false;
    }

    private List<Target> targets(Set<Long> pids) throws IOException {
        List<Target> targets = new ArrayList<>();
        for (long pid : pids) {
            Path directory = Processes.directory(pid);
            String obstacle = obstacle(pid, directory);
            if (obstacle != null) {
                skip(obstacle);
                continue;
            }
            try {
                List<PrivateMapping> mappings = PrivateMapping.read(directory.resolve("smaps")).stream()
                        .filter(mapping -> !options.marked || mapping.marked())
                        .toList();
                if (options.onlyNative) {
                    mappings = onlyNative(mappings, directory);
                }
                targets.add(new Target(pid, Processes.nameOf(pid), mappings));
            } catch (AccessDeniedException e) {
                skip("no permission to read the memory of process " + pid + ": run as root");
            } catch (IOException e) {
                if (Files.isDirectory(directory)) {
                    throw e;
                }
                skip("process " + pid + " has ended: skipped");
            }
        }
        return targets;
    }

    private List<PrivateMapping> onlyNative(List<PrivateMapping> mappings, Path directory) throws IOException {
        try (Smaps smaps = new Smaps(directory.resolve("smaps"));
                NativeMappings chosen =
                        new NativeMappings(directory, rules.pageSize(), NativeMemoryOptions.DEFAULT.minSize())) {
            List<Range> ranges = chosen.chunks(Snapshot.read(smaps));
            return mappings.stream()
                    .flatMap(mapping -> mapping.in(ranges).stream())
                    .toList();
        }
    }

    /** Returns why a process has nothing to read; null if it has. */
    private static @Nullable String obstacle(long pid, Path directory) {
        if (pid == ProcessHandle.current().pid()) {
            return "process " + pid + " is this command: its memory changes while it reads";
        }
        String status;
        try {
            status = Files.readString(directory.resolve("status"), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return Files.isDirectory(directory)
                    ? "no permission to read process " + pid + ": run as root"
                    : "there is no process " + pid + ": ps -e lists processes";
        }
        Matcher group = Pattern.compile("(?m)^Tgid:\\s*(\\d+)$").matcher(status);
        if (group.find() && Long.parseLong(group.group(1)) != pid) {
            return pid + " is a thread: specify its process, " + group.group(1);
        }
        if (status.contains("\nVmRSS:")) {
            return null;
        }
        return Pattern.compile("(?m)^State:\\s*[ZX]").matcher(status).find()
                ? "process " + pid + " is a zombie: it has no memory left"
                : pid + " is a kernel thread: it has no memory of its own";
    }

    private Estimate estimate(List<Target> targets, ReadProgress progress) throws IOException, InterruptedException {
        long expected = targets.stream()
                .mapToLong(target -> target.sum(PrivateMapping::anonymous))
                .sum();
        progress.begin(options.stableSeconds > 0 ? 2 * expected : expected);
        long room = room();
        List<InitialHashes> initial =
                options.stableSeconds > 0 ? initialHashes(targets, room / 2, progress) : List.of();
        room -= initial.stream().mapToLong(InitialHashes::bytes).sum();
        ContentTable table = new ContentTable(
                slots(expected / rules.pageSize() / options.sample, room),
                Integer.numberOfTrailingZeros(options.sample));
        List<Counter> counters = new ArrayList<>();
        try (PageFrames frames = frames()) {
            for (Target target : targets) {
                InitialHashes before = initial.isEmpty() ? null : initial.get(counters.size());
                Counter counter = new Counter(table, before, ProcessPages.hashOfZeros((int) rules.pageSize()));
                counters.add(counter);
                table.nextProcess();
                counter.tally = read(target, frames, progress, counter);
                if (counter.tally.ended) {
                    progress.clear();
                    skip("process " + target.pid + " ended while it was read: what was read is counted");
                }
            }
        }
        List<OfProcess> processes = new ArrayList<>();
        for (int i = 0; i < targets.size(); i++) {
            processes.add(counters.get(i).result(targets.get(i), i, rules));
        }
        return new Estimate(rules, processes, table.contents(), table.groups(rules.maxPageSharing()), table.sampling());
    }

    /**
     * Reads processes one after the other, each as if it were alone: a page that two of them already share has to be in
     * the samples of both. Skips processes that cannot be read completely, and says why.
     *
     * @param group the group of all of them; null if each belongs to the group of its name
     */
    List<Sketch> sketch(Set<Long> pids, FleetKey key, @Nullable String group, ReadProgress progress)
            throws IOException, InterruptedException {
        List<Target> targets = targets(pids);
        long expected = targets.stream()
                .mapToLong(target -> target.sum(PrivateMapping::anonymous))
                .sum();
        progress.begin(options.stableSeconds > 0 ? 2 * expected : expected);
        List<Sketch> sketches = new ArrayList<>();
        for (Target target : targets) {
            InitialHashes before = options.stableSeconds > 0
                    ? initialHashes(List.of(target), room() / 2, progress).get(0)
                    : null;
            PageSampler sampler = new PageSampler(key, before, ProcessPages.hashOfZeros((int) rules.pageSize()));
            try (PageFrames frames = frames()) {
                OptionalLong memory = residentMemory(target.pid);
                if (memory.isEmpty() || read(target, frames, progress, sampler).ended) {
                    progress.clear();
                    skip("process " + target.pid + " ended while it was read: not in the sketch");
                    continue;
                }
                sketches.add(new Sketch(
                        target.pid,
                        target.name,
                        group == null ? Sketch.groupOf(target.name) : group,
                        memory.getAsLong(),
                        sampler.pages(),
                        sampler.zeros(),
                        sampler.shared(),
                        sampler.sample()));
            }
        }
        return sketches;
    }

    /** Returns the resident memory of a process in bytes; empty if it has ended. */
    private static OptionalLong residentMemory(long pid) {
        try {
            String kilobytes = ProcessStatus.read(Processes.directory(pid)).field("VmRSS");
            return OptionalLong.of(Long.parseLong(kilobytes.replace(" kB", "")) << 10);
        } catch (IOException e) {
            return OptionalLong.empty();
        }
    }

    private List<InitialHashes> initialHashes(List<Target> targets, long room, ReadProgress progress)
            throws IOException, InterruptedException {
        List<InitialHashes> hashes = new ArrayList<>();
        long left = room;
        try (PageFrames frames = frames()) {
            for (Target target : targets) {
                InitialHashes ofTarget = new InitialHashes(rules.pageSize(), left);
                hashes.add(ofTarget);
                read(target, frames, progress, ofTarget);
                left -= ofTarget.bytes();
            }
        }
        long start = System.nanoTime();
        TimeUnit.SECONDS.sleep(options.stableSeconds);
        progress.pause(System.nanoTime() - start);
        return hashes;
    }

    private long room() {
        return Math.min(options.memory, Runtime.getRuntime().maxMemory() / 2);
    }

    private static PageFrames frames() throws IOException {
        try {
            return new PageFrames();
        } catch (AccessDeniedException e) {
            throw new CommandFailedException("no permission to read /proc/kpageflags: run as root", e);
        }
    }

    /** Returns the slots for this many pages and a third more, or fewer if there is not enough room. */
    private static int slots(long pages, long room) {
        long maxSlots = Long.highestOneBit(room / ContentTable.ENTRY_BYTES);
        long wanted = Long.highestOneBit(Math.max(pages / 3 * 4, MIN_SLOTS) - 1) << 1;
        return (int) Math.max(MIN_SLOTS, Math.min(Math.min(wanted, maxSlots), ContentTable.MAX_SLOTS));
    }

    private ProcessPages.Tally read(
            Target target, PageFrames frames, ReadProgress progress, ProcessPages.Visitor visitor) throws IOException {
        ProcessPages pages;
        try {
            pages = new ProcessPages(
                    Processes.directory(target.pid), (int) rules.pageSize(), kernelFor(target), frames, progress);
        } catch (AccessDeniedException e) {
            throw new CommandFailedException(
                    "no permission to read the memory of process " + target.pid + ": run as root", e);
        } catch (IOException e) {
            ProcessPages.Tally nothing = new ProcessPages.Tally();
            nothing.ended = true;
            return nothing;
        }
        try (pages) {
            return pages.visit(target.mappings, visitor);
        }
    }

    /** Returns what a large address space needs. */
    private Optional<KsmBackend> kernelFor(Target target) {
        if (target.sum(mapping -> mapping.end() - mapping.start()) < MIN_SCANNED) {
            return Optional.empty();
        }
        if (search == null) {
            search = BackendSearch.find();
        }
        return search.backend();
    }

    /** Counts the pages of one process. */
    private static final class Counter implements ProcessPages.Visitor {

        private final ContentTable table;
        private final @Nullable InitialHashes before;
        private final long hashOfZeros;

        private long read;
        private long zeros;
        private long shared;
        private long changed;
        private ProcessPages.Tally tally = new ProcessPages.Tally();

        Counter(ContentTable table, @Nullable InitialHashes before, long hashOfZeros) {
            this.table = table;
            this.before = before;
            this.hashOfZeros = hashOfZeros;
        }

        @Override
        public void page(long address, long hash) {
            if (before != null && !before.isSame(address, hash)) {
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

        OfProcess result(Target target, int index, Rules rules) {
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
}
