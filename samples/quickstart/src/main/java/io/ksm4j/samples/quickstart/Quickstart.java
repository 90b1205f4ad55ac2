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
import io.ksm4j.stats.RegionStats;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.text.DecimalFormat;
import java.text.DecimalFormatSymbols;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Keeps a file in memory four times, and watches the kernel make one copy of the four. */
public final class Quickstart {

    private static final int COPIES = 4;
    private static final long MOST_BYTES = 64L << 20;

    /** Longer than this is not worth waiting for: then ksmd is made faster, if we may. */
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
        this.size = (int) Math.min(fileSize, MOST_BYTES);
        System.out.printf(
                "%d copies of %s%s, with Java %s and backend %s%n",
                COPIES,
                fileSize > size ? "the first " + mebibytes(size) + " MiB of " : "",
                file.equals(MODULES) ? "the JDK's lib/modules" : file,
                Runtime.version().feature(),
                ksm.backend());
    }

    /**
     * Runs the sample.
     *
     * @param args the file to load; none for one that every JDK has
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

            Progress progress = new Progress(ksm, copies);
            Usage before = usage();
            ksm.markMergeable(copies);
            if (ksm.support().canMerge()) {
                progress.await();
            } else {
                System.out.println("Marked, but nothing will merge here:");
                ksm.support().obstacles().forEach(obstacle -> System.out.println(obstacle.explanation()));
            }
            Usage after = usage();

            System.out.println();
            printRow("", "resident", "shared", "saved", "time");
            before.print("before", "");
            after.print("after", progress.seconds() + " s");
            after.explain("shared");
            System.out.printf(
                    "%nsaved %s MiB of %s MiB in %s s (backend %s)%n",
                    mebibytes(after.saved()), mebibytes(totalSize()), progress.seconds(), ksm.backend());
        } finally {
            copies.forEach(MergeRegion::close);
            fast.ifPresent(KsmSession::close);
        }
    }

    /** Fills four regions. They need not be marked yet, and a file need not end with a page. */
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

    /** Sees to it that ksmd runs, and fast enough to watch. */
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

    /** Three scans of these pages and of all that are marked already, at the speed that is set. */
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

    private Usage usage() {
        return Usage.of(ksm, copies);
    }

    /** What all copies together occupy and save. */
    record Usage(RegionStats stats) {

        static Usage of(Ksm ksm, List<MergeRegion> regions) {
            return new Usage(ksm.stats(regions).values().stream().reduce(RegionStats.NONE, RegionStats::plus));
        }

        long saved() {
            return stats.savedBytes();
        }

        /** Says why the kernel does not tell what is in this column, if so. */
        void explain(String column) {
            if (stats.residentBytes() > 0 && stats.mergedBytes().isEmpty()) {
                System.out.println(
                        column + " is not known: this kernel's /proc/self/smaps has no line KSM:, as later ones have");
            }
        }

        void print(String when, String time) {
            printRow(
                    when,
                    stats.residentBytes() > 0 ? mebibytes(stats.residentBytes()) + " MiB" : "not known",
                    stats.mergedBytes().isPresent()
                            ? mebibytes(stats.mergedBytes().getAsLong()) + " MiB"
                            : "not known",
                    mebibytes(saved()) + " MiB",
                    time);
        }
    }

    private static void printRow(Object... cells) {
        System.out.println(String.format("%-8s%14s%14s%14s%9s", cells).stripTrailing());
    }

    static String mebibytes(long bytes) {
        return new DecimalFormat("0.##", DecimalFormatSymbols.getInstance(Locale.ROOT)).format(bytes / 1048576.0);
    }
}
