// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import static io.ksm4j.samples.measurement.Machine.mebibytes;

import io.ksm4j.Ksm;
import io.ksm4j.samples.measurement.KsmdControl;
import io.ksm4j.samples.measurement.Machine;
import io.ksm4j.samples.measurement.SampleCommand;
import io.ksm4j.samples.measurement.SizeConverter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * Measures what merging saves and costs if several JVMs run the same model with ONNX Runtime: with the whole process
 * opted in, and with native memory only.
 */
@Command(
        name = "inference",
        version = "inference, a sample of ksm4j",
        mixinStandardHelpOptions = true,
        description = "Runs the same model in several JVMs, and shows their memory, and the latency of inference.",
        sortOptions = false)
public final class Inference extends SampleCommand {

    private static final long MIN_MODEL = 1 << 20;
    private static final long MAX_MODEL = 1 << 30;
    private static final long MAX_HEAP = 16L << 30;

    /** The approximate size of a JVM without model and live objects. */
    private static final long JVM_SIZE = 100 << 20;

    @Option(
            names = "--jvms",
            paramLabel = "N",
            description = "number of JVMs of each variant, 2 to 64 (default: ${DEFAULT-VALUE})")
    private int jvms = 3;

    @Option(
            names = "--model-size",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = "size of the weights of the model, 1m to 1g (default: 128m)")
    private long modelSize = 128 << 20;

    @Option(
            names = "--heap",
            paramLabel = "SIZE",
            converter = SizeConverter.class,
            description = "size of the live objects on the heap of each JVM, at most 16g (default: 192m)")
    private long heap = 192 << 20;

    @Option(
            names = "--weights-in-arena",
            description = "let the runtime load the weights into its arena, which is its default, and keeps a copy that"
                    + " is not used any more")
    private boolean isInArena;

    @Option(
            names = "--inferences",
            paramLabel = "N",
            description = "number of timed inferences of each JVM before merging, and after it, 1 to 1000000"
                    + " (default: ${DEFAULT-VALUE})")
    private int inferences = 2000;

    @Option(names = "--svg", paramLabel = "SVG", description = "file to write the plot to (default: ${DEFAULT-VALUE})")
    private Path svg = Path.of("inference.svg");

    @Option(
            names = "--limit",
            paramLabel = "SECONDS",
            description = "maximum wait for merging after each step (default: ${DEFAULT-VALUE})")
    private int limit = 120;

    /**
     * Runs the sample.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        runAndExit(new Inference(), args);
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        require(jvms >= 2 && jvms <= 64, "--jvms must be 2 to 64");
        require(modelSize >= MIN_MODEL && modelSize <= MAX_MODEL, "--model-size must be 1m to 1g");
        require(heap <= MAX_HEAP, "--heap must be at most 16g");
        require(inferences >= 1 && inferences <= 1_000_000, "--inferences must be 1 to 1000000");
        require(limit >= 1 && limit <= 3600, "--limit must be 1 to 3600 seconds");
        requireDirectory(svg);
        // Fails if this kernel has no way to opt in a process.
        Ksm.system().process().isMergeable();
        requireMemory();
        KsmdControl ksmd = new KsmdControl(Duration.ofSeconds(limit));
        // A new seed each time, so that the model cannot merge with that of another run.
        OnnxModel model = OnnxModel.ofSize(modelSize, new SecureRandom().nextLong());
        System.out.printf(
                "%d JVMs, each with the same model of %s, and %s of live objects of its own%n",
                jvms, mebibytes(model.size()), mebibytes(heap));
        System.out.println(Machine.describe());
        System.out.println(ksmd.describe("after each step"));

        InferenceReport report = new InferenceReport();
        LatencyRun latencies;
        try (ModelDirectory directory = new ModelDirectory()) {
            model.write(directory.model());
            ModelJvms.Settings settings = new ModelJvms.Settings(model, directory.model(), isInArena, jvms, heap);
            for (Variant variant : Variant.values()) {
                System.out.print(report.add(MemoryRun.measure(variant, settings, ksmd)));
            }
            latencies = LatencyRun.measure(settings, inferences, ksmd);
        }
        System.out.print(InferenceReport.table(latencies));
        Files.writeString(svg, report.svg());
        System.out.println("\nmemory over time: " + svg + "\n");
        System.out.print(report.targets(latencies));
        System.out.println(report.lastLine());
        return 0;
    }

    /** Checks that there is enough memory. The runtime has two copies of the weights, at least while it loads them. */
    private void requireMemory() throws IOException {
        long withModel = jvms * (JVM_SIZE + 2 * modelSize);
        long needed = Math.max(withModel + jvms * heap * 9 / 8, Variant.values().length * withModel);
        Machine.requireMemory(needed, "use fewer --jvms, a smaller --model-size or a smaller --heap");
    }
}
