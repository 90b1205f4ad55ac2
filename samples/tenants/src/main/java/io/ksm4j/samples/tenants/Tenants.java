// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.samples.measurement.KsmdControl;
import io.ksm4j.samples.measurement.Machine;
import io.ksm4j.samples.measurement.SampleCommand;
import io.ksm4j.samples.measurement.SizeConverter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/**
 * Measures the cost of an additional tenant that loads the same data, in one JVM and in several, with and without
 * merging.
 */
@Command(
        name = "tenants",
        version = "tenants, a sample of ksm4j",
        mixinStandardHelpOptions = true,
        description =
                "Loads the same reference data for one tenant after the other, and shows the memory cost of each.",
        sortOptions = false)
public final class Tenants extends SampleCommand {

    private static final long MIN_SIZE = 1 << 20;
    private static final long DEFAULT_SIZE = 256 << 20;
    private static final long MAX_SIZE = 1 << 30;

    /** The approximate size of a JVM without data. */
    private static final long JVM_SIZE = 100 << 20;

    @Option(
            names = "--tenants",
            paramLabel = "N",
            description = "number of tenants, 2 to 64 (default: ${DEFAULT-VALUE})")
    private int tenants = 8;

    @Option(
            names = "--size",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = "size of each tenant's data, 1m to 1g (default: all of FILE, or 256m)")
    private Optional<Long> size = Optional.empty();

    @Option(
            names = "--svg",
            paramLabel = "SVG",
            description = "file to write the plot to (default: ${DEFAULT-VALUE}); the plot over time is written beside"
                    + " it, to a file whose name ends in -time.svg")
    private Path svg = Path.of("tenants.svg");

    @Option(
            names = "--interval",
            paramLabel = "SECONDS",
            description = "minimum time between two arrivals (default: ${DEFAULT-VALUE})")
    private int interval = 2;

    @Option(
            names = "--limit",
            paramLabel = "SECONDS",
            description = "maximum wait for merging after each arrival (default: ${DEFAULT-VALUE})")
    private int limit = 60;

    @Parameters(arity = "0..1", paramLabel = "FILE", description = "file to load (default: random records)")
    private Optional<Path> file = Optional.empty();

    /**
     * Runs the sample.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        runAndExit(new Tenants(), args);
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        require(tenants >= 2 && tenants <= 64, "--tenants must be 2 to 64");
        require(interval >= 0 && interval <= 3600, "--interval must be 0 to 3600 seconds");
        require(limit >= 1 && limit <= 3600, "--limit must be 1 to 3600 seconds");
        require(size.isEmpty() || (size.get() >= MIN_SIZE && size.get() <= MAX_SIZE), "--size must be 1m to 1g");
        requireDirectory(svg);
        ReferenceData data = data();
        requireMemory(data.size());
        KsmdControl ksmd = new KsmdControl(Duration.ofSeconds(limit));
        System.out.printf(
                "%d tenants, each with the same %s of %s%n",
                tenants,
                Machine.mebibytes(data.size()),
                file.map(Path::toString).orElse("random records"));
        System.out.println(Machine.describe());
        System.out.println(ksmd.describe("after each arrival"));

        TenantReport report = new TenantReport(data.size());
        for (TenantHost host : TenantHost.values()) {
            for (StorageVariant variant : StorageVariant.values()) {
                if (!variant.optsIn() || canOptIn()) {
                    report.add(new TenantRun(host, variant).run(data, tenants, Duration.ofSeconds(interval), ksmd));
                }
            }
        }
        Files.writeString(svg, report.svgByTenants());
        Path svgOverTime = svg.resolveSibling(svg.getFileName().toString().replaceFirst("(\\.svg)?$", "-time.svg"));
        Files.writeString(svgOverTime, report.svgOverTime());
        System.out.println("\nmemory by number of tenants: " + svg);
        System.out.println("memory over time, of what merges: " + svgOverTime);
        report.printTargets();
        return 0;
    }

    private ReferenceData data() throws IOException {
        if (file.isEmpty()) {
            // A new seed each time, so that the data cannot merge with data of another run.
            return new ReferenceData("", new SecureRandom().nextLong(), size.orElse(DEFAULT_SIZE));
        }
        Path path = file.get();
        if (!Files.exists(path)) {
            throw new IOException("no such file: " + path);
        }
        if (!Files.isRegularFile(path) || !Files.isReadable(path) || Files.size(path) < MIN_SIZE) {
            throw new IOException("not a readable regular file of at least 1 MiB: " + path);
        }
        long all = Math.min(Files.size(path), MAX_SIZE);
        return new ReferenceData(path.toAbsolutePath().toString(), 0, Math.min(size.orElse(all), all));
    }

    /** Checks that there is enough memory: without merging all data needs it, and on the heap briefly twice. */
    private void requireMemory(long size) throws IOException {
        long needed = tenants * (2 * size + JVM_SIZE);
        Machine.requireMemory(needed, "use fewer --tenants or a smaller --size");
    }

    private static boolean canOptIn() {
        try {
            Ksm.system().process().isMergeable();
            return true;
        } catch (KsmUnsupportedException e) {
            System.out.println("\nProcesses cannot opt in as a whole: " + e.getMessage());
            return false;
        }
    }
}
