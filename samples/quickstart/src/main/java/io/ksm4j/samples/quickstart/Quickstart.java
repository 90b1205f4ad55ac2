// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.quickstart;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.KsmSupport;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.stats.KsmStats;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Loads a file into memory four times, and watches the kernel merge the four copies into one. */
public final class Quickstart {

    private static final int COPIES = 4;
    private static final long MAX_BYTES = 64L << 20;

    /** The longest acceptable wait. If merging would take longer, ksmd is made faster if this user may do that. */
    private static final Duration SLOW = Duration.ofSeconds(30);

    /** A file that every JDK has. */
    private static final Path MODULES = Path.of(System.getProperty("java.home"), "lib", "modules");

    private final Ksm ksm;
    private final Path file;
    private final int size;
    private final List<MergeRegion> copies = new ArrayList<>();

    private Quickstart(Ksm ksm, Path file, long fileSize) {
        this.ksm = ksm;
        this.file = file;
        this.size = (int) Math.min(fileSize, MAX_BYTES);
        System.out.printf(
                "%d copies of %s%s, with Java %s and backend %s%n",
                COPIES,
                fileSize > size ? "the first " + MemoryUsage.mebibytes(size) + " MiB of " : "",
                file.equals(MODULES) ? "the JDK's lib/modules" : file,
                Runtime.version().feature(),
                ksm.backend());
    }

    /**
     * Runs the sample.
     *
     * @param args the file to load; without it, a file that every JDK has is loaded
     */
    public static void main(String[] args) {
        if (args.length > 1) {
            System.err.println("usage: quickstart [FILE]");
            System.exit(2);
        }
        Path file = args.length == 1 ? Path.of(args[0]) : MODULES;
        try {
            if (Files.isDirectory(file)) {
                throw new IOException("it is a directory");
            }
            long fileSize = Files.size(file);
            if (fileSize == 0) {
                throw new IOException("it is empty");
            }
            new Quickstart(Ksm.systemOrFallback(), file, fileSize).run();
        } catch (NoSuchFileException e) {
            System.err.println("quickstart: no such file: " + file);
            System.exit(2);
        } catch (IOException e) {
            System.err.println("quickstart: cannot load " + file + ": " + e.getMessage());
            System.exit(1);
        }
    }

    private void run() throws IOException {
        Optional<KsmSession> fast = Optional.empty();
        try {
            load();
            fast = prepare();

            MergeProgress progress = new MergeProgress(ksm, copies);
            MemoryUsage before = usage();
            ksm.markMergeable(copies);
            if (ksm.support().canMerge()) {
                progress.await();
            } else {
                System.out.println("Marked, but nothing will merge here:");
                ksm.support().obstacles().forEach(obstacle -> System.out.println(obstacle.explanation()));
            }
            MemoryUsage after = usage();

            System.out.println();
            MemoryUsage.printHeader();
            before.print("before", "");
            after.print("after", progress.seconds() + " s");
            after.explain("shared");
            System.out.printf(
                    "%nsaved %s MiB of %s MiB in %s s (backend %s)%n",
                    MemoryUsage.mebibytes(after.saved()),
                    MemoryUsage.mebibytes(totalSize()),
                    progress.seconds(),
                    ksm.backend());
        } finally {
            copies.forEach(MergeRegion::close);
            fast.ifPresent(KsmSession::close);
        }
    }

    /** Fills four regions, which are not marked yet. The file does not need to end at a page boundary. */
    private void load() throws IOException {
        RegionOptions options =
                RegionOptions.DEFAULT.withMarking(Marking.UNMERGEABLE).withHugePages(HugePages.AVOID);
        for (int i = 1; i <= COPIES; i++) {
            MergeRegion copy = ksm.allocate(size, options.withName("quickstart-" + i));
            copies.add(copy);
            try (FileChannel channel = FileChannel.open(file)) {
                ByteBuffer buffer = copy.buffer(0, size);
                int read = 0;
                while (buffer.hasRemaining() && read >= 0) {
                    read = channel.read(buffer);
                }
            }
        }
    }

    /** Makes ksmd run, and fast enough to watch, if this user may do that. */
    private Optional<KsmSession> prepare() {
        KsmSupport support = ksm.support();
        if (!support.canMark()) {
            return Optional.empty();
        }
        String found = "ksmd is stopped";
        boolean mayChange = KsmDaemon.system().mayChange();
        if (support.canMerge()) {
            long seconds = secondsToMerge();
            if (seconds <= SLOW.toSeconds()) {
                System.out.println("ksmd runs; its settings stay as they are");
                return Optional.empty();
            }
            found = "ksmd runs, but is set so that this may take " + seconds + " s";
            if (!mayChange) {
                System.out.println(found + ", and this user may not change that");
            }
        }
        if (!mayChange) {
            return Optional.empty();
        }
        try {
            KsmSession fast = FastKsmd.borrow(KsmSettings.EMPTY);
            System.out.println(found + ": it runs fast for a moment, then every setting is put back");
            return Optional.of(fast);
        } catch (KsmException e) {
            System.out.println(found + ", and its settings cannot be changed: " + e.getMessage());
            return Optional.empty();
        }
    }

    /** Estimates the time for three scans of these pages and of all pages already marked, at the current speed. */
    private long secondsToMerge() {
        KsmStats now = KsmStats.read();
        long pages = 3 * (totalSize() / ksm.pageSize() + now.rmapItems().orElse(0));
        return pages
                / Math.max(1, now.pagesToScan().orElse(1))
                * now.sleepMillisecs().orElse(0)
                / 1000;
    }

    private long totalSize() {
        return copies.stream().mapToLong(MergeRegion::size).sum();
    }

    private MemoryUsage usage() {
        return MemoryUsage.of(ksm, copies);
    }
}
