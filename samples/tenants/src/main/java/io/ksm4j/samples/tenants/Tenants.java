package io.ksm4j.samples.tenants;

import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** What does it cost when one tenant more loads the same data? In one JVM and in many, with merging and without. */
@Command(
        name = "tenants",
        version = "tenants, a sample of ksm4j",
        mixinStandardHelpOptions = true,
        description = "Loads the same reference data for tenant after tenant, and shows what each costs.",
        sortOptions = false)
public final class Tenants implements Callable<Integer> {

    private static final long LEAST = 1 << 20;
    private static final long DEFAULT = 256 << 20;
    private static final long MOST = 1 << 30;

    /** Of a JVM without data, about. */
    private static final long JVM = 100 << 20;

    @Option(names = "--tenants", paramLabel = "N", description = "how many arrive, 2 to 64 (default: ${DEFAULT-VALUE})")
    private int tenants = 8;

    @Option(
            names = "--size",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = "how much each loads, 1m to 1g (default: all of FILE, or 256m)")
    private Optional<Long> size = Optional.empty();

    @Option(names = "--svg", paramLabel = "SVG", description = "where to write the plot (default: ${DEFAULT-VALUE})")
    private Path svg = Path.of("tenants.svg");

    @Option(
            names = "--interval",
            paramLabel = "SECONDS",
            description = "the least between two arrivals (default: ${DEFAULT-VALUE})")
    private int interval = 2;

    @Option(
            names = "--limit",
            paramLabel = "SECONDS",
            description = "how long to wait for merging after each (default: ${DEFAULT-VALUE})")
    private int limit = 60;

    @Parameters(arity = "0..1", paramLabel = "FILE", description = "what to load (default: random records)")
    private Optional<Path> file = Optional.empty();

    @Spec
    private CommandSpec spec;

    /**
     * Runs the sample.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        System.exit(new CommandLine(new Tenants())
                .setExecutionExceptionHandler((e, command, parsed) -> {
                    System.err.println("tenants: " + e.getMessage());
                    return 1;
                })
                .execute(args));
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        require(tenants >= 2 && tenants <= 64, "--tenants is from 2 to 64");
        require(interval >= 0 && interval <= 3600, "--interval is from 0 to 3600 seconds");
        require(limit >= 1 && limit <= 3600, "--limit is from 1 to 3600 seconds");
        require(size.isEmpty() || (size.get() >= LEAST && size.get() <= MOST), "--size is from 1m to 1g");
        if (!Files.isDirectory(svg.toAbsolutePath().getParent())) {
            throw new IOException(
                    "no folder for the plot: " + svg.toAbsolutePath().getParent());
        }
        ReferenceData data = data();
        requireMemory(data.size());
        Ksmd ksmd = new Ksmd(Duration.ofSeconds(limit));
        System.out.printf(
                "%d tenants, each with the same %s of %s%n",
                tenants, mebibytes(data.size()), file.map(Path::toString).orElse("random records"));
        System.out.println(machine());
        System.out.println(ksmd.describe());

        Report report = new Report(data.size());
        for (Place place : Place.values()) {
            for (Way way : Way.values()) {
                if (!way.optsIn() || canOptIn()) {
                    report.add(new Run(place, way).run(data, tenants, Duration.ofSeconds(interval), ksmd));
                }
            }
        }
        Files.writeString(svg, report.svg());
        System.out.println("\nmemory over time: " + svg);
        report.printTargets();
        return 0;
    }

    private void require(boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(spec.commandLine(), message);
        }
    }

    private ReferenceData data() throws IOException {
        if (file.isEmpty()) {
            // Another seed each time: nothing that another run has left may merge with this one's.
            return new ReferenceData("", new SecureRandom().nextLong(), size.orElse(DEFAULT));
        }
        Path path = file.get();
        if (!Files.exists(path)) {
            throw new IOException("no such file: " + path);
        }
        if (!Files.isRegularFile(path) || !Files.isReadable(path) || Files.size(path) < LEAST) {
            throw new IOException("not a file of 1 MiB or more that may be read: " + path);
        }
        long all = Math.min(Files.size(path), MOST);
        return new ReferenceData(path.toAbsolutePath().toString(), 0, Math.min(size.orElse(all), all));
    }

    /** Without merging they need it all, and on the heap for a moment twice. */
    private void requireMemory(long size) throws IOException {
        long needed = tenants * (2 * size + JVM);
        long available = Memory.available();
        if (needed > available) {
            throw new IOException("this may take " + mebibytes(needed) + " of memory, and " + mebibytes(available)
                    + " are available: use fewer --tenants or a smaller --size");
        }
    }

    private static boolean canOptIn() {
        try {
            Ksm.system().process().isMergeable();
            return true;
        } catch (KsmUnsupportedException e) {
            System.out.println("\nNo process can opt in as a whole: " + e.getMessage());
            return false;
        }
    }

    private static String machine() {
        return String.format(
                "Linux %s, %s, %d processors, Java %s, backend %s",
                System.getProperty("os.version"),
                System.getProperty("os.arch"),
                Runtime.getRuntime().availableProcessors(),
                Runtime.version(),
                Ksm.systemOrFallback().backend());
    }

    private static String mebibytes(long bytes) {
        return bytes / (1 << 20) + " MiB";
    }

    /** Reads sizes such as 64m and 1g. */
    private static final class SizeConverter implements ITypeConverter<Long> {
        @Override
        public Long convert(String text) {
            if (!text.matches("[0-9]{1,9}[kmgKMG]?")) {
                throw new TypeConversionException("'" + text + "' is no size, such as 64m or 1g");
            }
            String digits = text.replaceAll("[a-zA-Z]", "");
            int unit = "kmg".indexOf(text.substring(digits.length()).toLowerCase(Locale.ROOT));
            return Long.parseLong(digits) << (digits.equals(text) ? 0 : 10 * (unit + 1));
        }
    }
}
