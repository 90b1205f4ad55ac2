// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSession;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.micrometer.KsmMetrics;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.RunningJvm;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code ksm tune}, which always restores the settings. */
@EnabledIfKsm(control = true)
class TuneCommandTest {

    private final RunningKsmd ksmd;

    TuneCommandTest(RunningKsmd ksmd) {
        this.ksmd = ksmd;
    }

    private static KsmSettings settings() {
        return KsmDaemon.system().settings();
    }

    @ParameterizedTest
    @CsvSource({
        "--policy converge --cpu 20, TERM, 15",
        "--policy pressure, INT, 2",
        "--policy ksmtuned --set KSM_NPAGES_MAX=99 --set KSM_NPAGES_MIN=9, HUP, 1",
        "--policy advisor --scan-time 30, TERM, 15"
    })
    void ksmdIsControlledUntilASignalEndsTheCommand(String options, String signal, int number) throws Exception {
        KsmSettings before = settings();
        List<String> arguments = new ArrayList<>(List.of("tune"));
        arguments.addAll(List.of(options.split(" ", -1)));
        try (RunningJvm tune = RunningJvm.start(KsmProcess.command(arguments.toArray(String[]::new)))) {
            String line = tune.awaitLineThatContains(": ");
            assertThat(line).matches("\\d\\d:\\d\\d:\\d\\d (run=[01].*|pages_to_scan=.*)");
            assertThat(settings()).isNotEqualTo(before);

            kill(tune, signal);
            assertThat(tune.awaitExit()).isEqualTo(128 + number);
        }
        assertThat(settings()).isEqualTo(before);
    }

    private static void kill(RunningJvm tune, String signal) throws Exception {
        assertThat(new ProcessBuilder("kill", "-" + signal, Long.toString(tune.pid()))
                        .start()
                        .waitFor())
                .isZero();
    }

    @Test
    void theLaterOfTwoTakesEffectAndTheLastToEndRestoresTheOriginalSettings() throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        KsmSettings before = settings();
        try (RunningJvm one = RunningJvm.start(KsmProcess.command("tune"))) {
            one.awaitLineThatContains("run=1");
            try (RunningJvm other =
                    RunningJvm.start(KsmProcess.command("tune", "--policy", "advisor", "--scan-time", "31"))) {
                other.awaitLineThatContains("the kernel chooses ");

                assertThat(one.terminate()).isEqualTo(128 + 15);

                assertThat(settings().get(KsmSetting.ADVISOR_TARGET_SCAN_TIME)).hasValue(31);
                assertThat(settings().get(KsmSetting.RUN)).hasValue(1);
                assertThat(other.terminate()).isEqualTo(128 + 15);
            }
        }
        assertThat(settings()).isEqualTo(before);
    }

    @Test
    void aClosedPipeEndsTheCommand() {
        KsmSettings before = settings();
        List<String> command = new ArrayList<>(List.of("bash", "-c", "\"$@\" | true; echo ${PIPESTATUS[0]}", "bash"));
        command.addAll(KsmProcess.command("tune"));

        EndedProcess tune = EndedProcess.run(command);

        assertThat(tune.output()).isEqualTo("141\n");
        assertThat(tune.errors()).isEmpty();
        assertThat(settings()).isEqualTo(before);
    }

    @Test
    void withoutRightsItChangesNothing(@TempDir Path directory) throws IOException {
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        KsmSettings before = settings();

        EndedProcess tune;
        // Others have borrowed settings, so the file of sessions exists.
        KsmSettings unchanged = KsmSettings.EMPTY.with(
                KsmSetting.SLEEP_MILLISECS,
                before.get(KsmSetting.SLEEP_MILLISECS).orElseThrow());
        try (KsmSession others = KsmDaemon.system().borrow(unchanged)) {
            assertThat(others.settings()).isEqualTo(unchanged);
            tune = EndedProcess.run(KsmProcess.commandOfNobody(directory, "tune"));
        }

        assertThat(tune.exitStatus()).isEqualTo(1);
        assertThat(tune.output()).isEmpty();
        assertThat(tune.errors())
                .startsWith("ksm: this process may not write /")
                .contains(": run it as root")
                .hasLineCount(1);
        assertThat(settings()).isEqualTo(before);
    }

    /** {@code ArgumentsTest} of the command has more. */
    @Test
    void badOptionsAreRefusedBeforeAnySettingIsChanged() {
        KsmSettings before = settings();

        EndedProcess tune = KsmProcess.run("tune", "--cpu", "101");

        assertThat(tune.exitStatus()).isEqualTo(2);
        assertThat(tune.errors()).isEqualTo("ksm: invalid --cpu 101: must be 1 to 100 percent: see ksm tune --help\n");
        assertThat(settings()).isEqualTo(before);
    }

    @Test
    void prometheusGetsTheSameMetricsAsFromMicrometer() throws Exception {
        ksmd.set(KsmSetting.SLEEP_MILLISECS, 1500);
        try (RunningJvm tune = RunningJvm.start(KsmProcess.command("tune", "--policy", "pressure", "--metrics", "0"))) {
            URI uri = URI.create(tune.awaitLineThatContains("metrics at ").replaceAll(".* ", ""));
            assertThat(uri.toString()).matches("http://127\\.0\\.0\\.1:\\d+/metrics");

            HttpResponse<String> metrics = send(HttpRequest.newBuilder(uri).build());
            assertThat(metrics.statusCode()).isEqualTo(200);
            assertThat(metrics.headers().firstValue("Content-Type"))
                    .hasValue("text/plain; version=0.0.4; charset=utf-8");
            assertThat(families(metrics.body())).isEqualTo(familiesOfMicrometer());
            assertThat(metrics.body())
                    .contains("\nksm_kernel_run 0\n", "\nksm_kernel_scan_sleep_seconds 1.5\n")
                    .containsPattern("\nksm_kernel_pages\\{state=\"shared\"} \\d+\n");

            assertThat(send(HttpRequest.newBuilder(uri.resolve("/")).build()).statusCode())
                    .isEqualTo(404);
            assertThat(send(HttpRequest.newBuilder(uri)
                                    .POST(BodyPublishers.noBody())
                                    .build())
                            .statusCode())
                    .isEqualTo(405);

            EndedProcess second = KsmProcess.run("tune", "--metrics", Integer.toString(uri.getPort()));
            assertThat(second.exitStatus()).isEqualTo(1);
            assertThat(second.errors())
                    .startsWith("ksm: cannot serve metrics on port " + uri.getPort() + ": ")
                    .hasLineCount(1);
        }
    }

    private static HttpResponse<String> send(HttpRequest request) throws IOException, InterruptedException {
        return HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
    }

    private static Set<String> familiesOfMicrometer() {
        PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
        new KsmMetrics().bindTo(registry);
        return families(registry.scrape()).stream()
                .filter(family -> family.contains(" ksm_kernel_"))
                .collect(Collectors.toSet());
    }

    private static Set<String> families(String exposition) {
        return exposition.lines().filter(line -> line.startsWith("# TYPE ")).collect(Collectors.toSet());
    }
}
