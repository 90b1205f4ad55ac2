// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference.jvm;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.samples.inference.Inference;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The sample as users run it: a program that starts JVMs with ONNX Runtime and ksmd, and stops both at the end. */
class InferenceJvmTest {

    /** Weights of at least 32 MiB have mappings of their own, so they merge. */
    private static final int MODEL_MEBIBYTES = 80;

    @TempDir
    private Path directory;

    /** An argument of the sample and of all JVMs that it starts. */
    private final String mark = "-Dio.ksm4j.mark=" + UUID.randomUUID();

    @Test
    @EnabledIfKsm(control = true)
    void theModelMergesAndTheHeapIsScannedInTheWholeProcessOnly(RunningKsmd ksmd) throws IOException {
        KsmSettings before = KsmDaemon.system().settings();
        Path svg = directory.resolve("plot.svg");

        try (RunningJvm sample = start("--svg", svg.toString())) {
            Matcher last = Pattern.compile("(-?\\d+) MiB with (\\d+) records, the whole process saved"
                            + " (-?\\d+) MiB with (\\d+) records")
                    .matcher(sample.awaitLineThatStartsWith("native only saved "));

            assertThat(sample.awaitExit()).isZero();
            assertThat(last.matches()).isTrue();
            assertThat(Integer.parseInt(last.group(1))).isBetween(MODEL_MEBIBYTES / 2, MODEL_MEBIBYTES * 3 / 2);
            assertThat(Integer.parseInt(last.group(3))).isBetween(MODEL_MEBIBYTES / 2, MODEL_MEBIBYTES * 3 / 2);
            assertThat(Integer.parseInt(last.group(2))).isLessThan(Integer.parseInt(last.group(4)));
        }

        assertThat(svg).content().contains("without merging", "whole process", "native only");
        assertNothingIsLeft(before);
    }

    @Test
    @EnabledIfKsm(control = true)
    void nothingIsLeftWhenItIsTerminated(RunningKsmd ksmd) throws IOException {
        KsmSettings before = KsmDaemon.system().settings();
        try (RunningJvm sample = start()) {
            sample.awaitLine("without merging");

            assertThat(sample.terminate()).isEqualTo(128 + 15);
        }

        assertNothingIsLeft(before);
    }

    @Test
    @EnabledIfKsm(control = true)
    void nothingIsLeftWhenOneOfItsJvmsFails(RunningKsmd ksmd) throws IOException {
        KsmSettings before = KsmDaemon.system().settings();
        try (RunningJvm sample = start()) {
            sample.awaitLine("without merging");
            await().atMost(PATIENCE).until(() -> running().size() > 1);
            ProcessHandle.of(sample.pid()).orElseThrow().children().forEach(ProcessHandle::destroyForcibly);

            sample.awaitLine("inference: a JVM of the sample has ended, with exit status 137");
            assertThat(sample.awaitExit()).isEqualTo(1);
        }

        assertNothingIsLeft(before);
    }

    private RunningJvm start(String... arguments) {
        List<String> all = new ArrayList<>(List.of("--jvms", "2", "--heap", "32m", "--inferences", "20"));
        all.addAll(List.of("--model-size", MODEL_MEBIBYTES + "m"));
        all.addAll(List.of(arguments));
        return RunningJvm.start(
                List.of(), List.of(mark, "-Djava.io.tmpdir=" + directory), Inference.class, all.toArray(String[]::new));
    }

    private void assertNothingIsLeft(KsmSettings before) {
        await().atMost(PATIENCE).until(() -> running().isEmpty());
        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
        assertThat(directory.toFile().list((parent, name) -> name.startsWith("ksm4j-inference")))
                .isEmpty();
    }

    /** Returns the sample and the JVMs that it has started. */
    private List<Long> running() {
        List<Long> running = new ArrayList<>();
        for (ProcessHandle process : ProcessHandle.allProcesses().toList()) {
            if (commandLine(process).contains(mark)) {
                running.add(process.pid());
            }
        }
        return running;
    }

    private static String commandLine(ProcessHandle process) {
        try {
            return Files.readString(Path.of("/proc", Long.toString(process.pid()), "cmdline"));
        } catch (IOException e) {
            return "it has ended";
        }
    }
}
