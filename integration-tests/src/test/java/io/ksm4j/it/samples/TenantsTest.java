// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.samples;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.it.fixtures.ChildJvm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.samples.tenants.Tenants;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The sample as users run it: a program that starts JVMs and ksmd, and stops both at the end. */
class TenantsTest {

    /** The data is small, and the memory of the JVMs themselves varies by a fifth, so the bounds are wide. */
    private static final int SIZE = 16 << 20;

    @TempDir
    private Path directory;

    /** An argument of the sample and of all JVMs that it starts. */
    private final String mark = "-Dio.ksm4j.mark=" + UUID.randomUUID();

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void furtherTenantsCostLittleWithKsm4jAndAllTheirDataWithout(RunningKsmd ksmd) throws IOException {
        Path file = directory.resolve("data");
        byte[] data = new byte[SIZE];
        new Random().nextBytes(data);
        Files.write(file, data);
        Path svg = directory.resolve("plot.svg");
        KsmSettings before = KsmDaemon.system().settings();

        String output = run(
                        "--tenants", "2", "--interval", "0", "--limit", "10", "--svg", svg.toString(), file.toString())
                .assertEndedWell()
                .output();

        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
        assertThat(running()).isEmpty();
        for (String place : List.of("class loaders in one JVM", "JVMs")) {
            assertThat(costs(output, place + ", with ksm4j"))
                    .as(output)
                    .hasSize(2)
                    .satisfies(costs -> assertThat(costs.get(0)).isGreaterThan(60))
                    .satisfies(costs -> assertThat(costs.get(1)).isLessThan(40));
            assertThat(costs(output, place + ", without")).as(output).hasSize(2).allMatch(cost -> cost > 60);
            assertThat(costs(output, place + ", process opted in, direct memory"))
                    .as(output)
                    .hasSize(2)
                    .satisfies(costs -> assertThat(costs.get(1)).isLessThan(60));
            assertThat(costs(output, place + ", process opted in, heap"))
                    .as(output)
                    .hasSize(2);
        }
        assertThat(output)
                .containsPattern(
                        "(?m)^target tenants.further-tenant-classloaders measured 0\\.\\d+ goal 0.03 (met|missed)$")
                .containsPattern("(?m)^target tenants.further-tenant-jvms measured 0\\.\\d+ goal 0.03 (met|missed)$");
        assertThat(svg)
                .content()
                .contains(
                        ">tenants<",
                        "tenants are class loaders",
                        "tenants are JVMs",
                        "with ksm4j",
                        "process opted in, direct memory",
                        ">without<",
                        "process opted in, heap");
        assertThat(directory.resolve("plot-time.svg"))
                .content()
                .contains(
                        ">seconds<",
                        "tenants are class loaders",
                        "tenants are JVMs",
                        "with ksm4j",
                        "process opted in, direct memory")
                .doesNotContain(">without<", "process opted in, heap");
    }

    /** Returns the cost of each additional tenant in percent of its data, from the table under this heading. */
    private static List<Double> costs(String output, String heading) {
        return output.lines()
                .dropWhile(line -> !line.equals(heading))
                .skip(2)
                .takeWhile(line -> line.endsWith("%"))
                .map(line -> line.replaceAll(".* (\\S+) %", "$1"))
                .map(Double::valueOf)
                .toList();
    }

    @Test
    @EnabledIfKsm(control = true)
    void nothingIsLeftWhenItIsTerminated(RunningKsmd ksmd) throws Exception {
        KsmSettings before = KsmDaemon.system().settings();
        try (RunningJvm sample = startLong()) {
            assertThat(sample.terminate()).isEqualTo(128 + 15);
        }

        await().until(() -> running().isEmpty());
        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
    }

    @Test
    @EnabledIfKsm(control = true)
    void itEndsWhenOneOfItsJvmsFails(RunningKsmd ksmd) throws Exception {
        KsmSettings before = KsmDaemon.system().settings();
        try (RunningJvm sample = startLong()) {
            ProcessHandle child = ProcessHandle.of(sample.pid())
                    .orElseThrow()
                    .children()
                    .toList()
                    .get(0);
            child.destroyForcibly();

            sample.awaitLine("tenants: a JVM of the sample has ended, with exit status 137");
            assertThat(sample.awaitExit()).isEqualTo(1);
        }

        assertThat(running()).isEmpty();
        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
    }

    /** Starts the sample, and waits until it has started a JVM. */
    private RunningJvm startLong() throws IOException {
        RunningJvm sample = RunningJvm.start(
                List.of(),
                List.of(mark),
                Tenants.class,
                "--tenants",
                "20",
                "--size",
                "1m",
                "--interval",
                "0",
                "--svg",
                directory.resolve("plot.svg").toString());
        await().atMost(PATIENCE).until(() -> running().size() > 1);
        return sample;
    }

    private ChildJvm run(String... arguments) {
        return ChildJvm.run(Tenants.class, List.of(mark), arguments);
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
