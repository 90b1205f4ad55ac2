// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assumptions.assumeThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.control.KsmSettings;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.MemoryCgroup;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/** The instructions in {@code docs/operations.md} and the files that it offers work. */
class OperationsTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Path PAGE = ROOT.resolve("docs/operations.md");
    private static final Path DIST = ROOT.resolve("ksm-tools/src/main/dist");

    private static final Node DAEMON_SET = documents("ksm-tune.yaml")
            .filter(one -> one.is("DaemonSet"))
            .findFirst()
            .orElseThrow();
    private static final Node POD = DAEMON_SET.at("spec", "template");
    private static final Node CONTAINER = POD.at("spec", "containers").first();

    /** A part of a YAML document: maps, lists and plain values. */
    private record Node(Object value) {

        Node at(String... names) {
            Object at = value;
            for (String name : names) {
                at = ((Map<?, ?>) at).get(name);
                assertThat(at).as("%s in %s", name, value).isNotNull();
            }
            return new Node(at);
        }

        List<Node> all() {
            return ((List<?>) value).stream().<Node>map(Node::new).toList();
        }

        Node first() {
            return all().get(0);
        }

        String text() {
            return value.toString();
        }

        boolean is(String kind) {
            return at("kind").text().equals(kind);
        }
    }

    private static Stream<Node> documents(String file) {
        Yaml yaml = new Yaml(new SafeConstructor(new LoaderOptions()));
        return StreamSupport.stream(
                        yaml.loadAll(read(DIST.resolve("kubernetes").resolve(file)))
                                .spliterator(),
                        false)
                .map(Node::new);
    }

    /** Replaces the port by one that is free. */
    private static List<String> argumentsOfPod() {
        return CONTAINER.at("args").all().stream()
                .map(argument -> argument.text().replaceFirst(":\\d+$", ":0"))
                .toList();
    }

    /**
     * Returns a command that applies the manifest: its own PIDs or not, every file system read-only except for the
     * mounted directories, no capabilities, and a memory limit.
     */
    private static List<String> pod(MemoryCgroup limit) {
        assertThat(CONTAINER.at("securityContext", "runAsUser").text()).isEqualTo("0");
        assertThat(CONTAINER.at("securityContext", "capabilities", "drop").text())
                .isEqualTo("[ALL]");
        assertThat(CONTAINER.at("securityContext", "readOnlyRootFilesystem").text())
                .isEqualTo("true");
        List<String> command = new ArrayList<>(limit.commandPrefix());
        command.addAll(List.of("unshare", "--mount"));
        if (!POD.at("spec", "hostPID").text().equals("true")) {
            command.addAll(List.of("--pid", "--fork", "--mount-proc"));
        }
        StringBuilder script = new StringBuilder("set -e; mount --make-rprivate /; ");
        StringBuilder writable = new StringBuilder();
        for (Node mount : CONTAINER.at("volumeMounts").all()) {
            Node volume = POD.at("spec", "volumes").all().stream()
                    .filter(one -> one.at("name").equals(mount.at("name")))
                    .findFirst()
                    .orElseThrow();
            String path = mount.at("mountPath").text();
            script.append("mkdir -p ").append(path).append("; mount --bind ");
            script.append(volume.at("hostPath", "path").text())
                    .append(' ')
                    .append(path)
                    .append("; ");
            writable.append(path).append('|');
        }
        script.append("while read -r _ _ _ _ at _; do case $at in ")
                .append(writable)
                .append("/) ;; *) mount -o remount,bind,ro \"$at\" || true;; esac; done < /proc/self/mountinfo; ")
                .append("mount -o remount,bind,ro /; for at in / /sys /run /tmp; do [ ! -w $at ] || exit 9; done; "
                        + "exec \"$@\"");
        command.addAll(List.of("bash", "-c", script.toString(), "bash"));
        command.addAll(List.of("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"));
        return command;
    }

    @EnabledIfKsm(control = true)
    @Test
    void thePodWorksAndRestoresTheSettings(RunningKsmd ksmd) throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        KsmSettings before = KsmDaemon.system().settings();
        try (MemoryCgroup limit = MemoryCgroup.create()) {
            limit.limitTo(
                    mebibytes(CONTAINER.at("resources", "limits", "memory").text()) << 20);
            List<String> command = new ArrayList<>(pod(limit));
            command.addAll(KsmProcess.command(argumentsOfPod().toArray(String[]::new)));
            try (RunningJvm tune = RunningJvm.start(command)) {
                URI metrics =
                        URI.create(tune.awaitLineThatContains("metrics at ").replaceAll(".* ", ""));
                await().until(() -> ksmd.read("run") == 1);
                String probe = CONTAINER.at("livenessProbe", "httpGet", "path").text();
                URI probed = URI.create("http://127.0.0.1:" + metrics.getPort() + probe);
                HttpResponse<String> answer = HttpClient.newHttpClient()
                        .send(HttpRequest.newBuilder(probed).build(), BodyHandlers.ofString());
                assertThat(answer.statusCode()).isEqualTo(200);
                assertThat(answer.body()).contains("\nksm_kernel_run 1\n");
                assertThat(read(PAGE).split("[^a-z_]+", -1))
                        .filteredOn(word -> word.startsWith("ksm_kernel_"))
                        .isNotEmpty()
                        .allSatisfy(name -> assertThat(answer.body()).contains("\n# TYPE " + name + " "));

                assertThat(tune.terminate()).isEqualTo(128 + 15);
            }
        }
        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
    }

    @EnabledIfKsm(control = true)
    @Test
    void theServiceStartsAndRestoresTheSettings(RunningKsmd ksmd) throws Exception {
        String unit = read(DIST.resolve("ksm-tune.service"));
        String[] words = value("ExecStart", unit).split(" ", -1);
        assertThat(words[0]).isEqualTo(CONTAINER.at("command").first().text());
        ksmd.set(KsmSetting.RUN, 0);
        KsmSettings before = KsmDaemon.system().settings();
        List<String> command = new ArrayList<>(List.of("setpriv", "--bounding-set=-all", "--inh-caps=-all"));
        command.addAll(
                KsmProcess.command(List.of(words).subList(1, words.length).toArray(String[]::new)));
        assertThat(value("CapabilityBoundingSet", unit)).isEmpty();
        try (RunningJvm tune = RunningJvm.start(command)) {
            assertThat(tune.awaitLineThatContains("run=1")).contains("pages_to_scan=");
            assertThat(ksmd.read("run")).isEqualTo(1);

            assertThat(tune.terminate()).isEqualTo(Integer.parseInt(value("SuccessExitStatus", unit)));
        }
        assertThat(KsmDaemon.system().settings()).isEqualTo(before);
    }

    @Test
    void theScrapedPathAndPortAreTheServedOnes() {
        String port = CONTAINER.at("ports").first().at("containerPort").text();
        String name = CONTAINER.at("ports").first().at("name").text();
        assertThat(CONTAINER.at("args").all())
                .last()
                .extracting(Node::text)
                .asString()
                .endsWith(":" + port);
        assertThat(POD.at("metadata", "annotations", "prometheus.io/port").text())
                .isEqualTo(port);
        assertThat(POD.at("metadata", "annotations", "prometheus.io/path").text())
                .isEqualTo("/metrics");
        assertThat(CONTAINER.at("livenessProbe", "httpGet", "port").text()).isEqualTo(name);

        List<Node> monitors = documents("prometheus-operator/pod-monitor.yaml").toList();
        assertThat(monitors).hasSize(1);
        Node endpoint = monitors.get(0).at("spec", "podMetricsEndpoints").first();
        assertThat(endpoint.at("port").text()).isEqualTo(name);
        assertThat(endpoint.at("path").text()).isEqualTo("/metrics");
    }

    @Test
    void selectorsFindThePod() {
        Node labels = POD.at("metadata", "labels");
        assertThat(DAEMON_SET.at("spec", "selector", "matchLabels")).isEqualTo(labels);
        Node monitor =
                documents("prometheus-operator/pod-monitor.yaml").findFirst().orElseThrow();
        assertThat(monitor.at("spec", "selector", "matchLabels")).isEqualTo(labels);
        String namespace = documents("ksm-tune.yaml")
                .filter(one -> one.is("Namespace"))
                .findFirst()
                .orElseThrow()
                .at("metadata", "name")
                .text();
        assertThat(List.of(DAEMON_SET, monitor))
                .allSatisfy(one ->
                        assertThat(one.at("metadata", "namespace").text()).isEqualTo(namespace));
    }

    /** The examples on the page match its formulas. */
    @Test
    void theExamplesAddUp() {
        String page = read(PAGE);
        double secondsOfAGib = number("c = (\\S+) s", page);
        Matcher row = Pattern.compile(
                        "(?m)^\\| (\\d+) \\| (\\d+) \\| (\\d+) \\| (\\S+) \\| (\\S+) GiB \\| (\\S+) GiB \\|"
                                + " (\\S+) GiB \\| (\\d+) s \\| (\\d+) s \\| (\\d+) GiB \\| (\\S+) \\|$")
                .matcher(page);
        int rows = 0;
        while (row.find()) {
            double hosts = Double.parseDouble(row.group(1));
            double tenants = Double.parseDouble(row.group(2));
            double shared = Double.parseDouble(row.group(3));
            double own = Double.parseDouble(row.group(4));
            double marked = tenants * (shared + own);
            double kept = Math.ceil(tenants / 256) * shared;
            double records = (marked + kept) / 64;
            double net = tenants * shared - kept - records;
            double first = secondsOfAGib * marked;
            assertThat(Double.parseDouble(row.group(5))).as("marked").isEqualTo(marked);
            assertThat(Double.parseDouble(row.group(6))).as("records").isCloseTo(records, within(0.051));
            assertThat(Double.parseDouble(row.group(7))).as("saved").isCloseTo(net, within(0.051));
            assertThat(Double.parseDouble(row.group(8))).as("CPU first").isCloseTo(first, within(0.51));
            assertThat(Double.parseDouble(row.group(9))).as("merged after").isCloseTo(first / 0.5, within(0.51));
            assertThat(Double.parseDouble(row.group(10))).as("of all").isCloseTo(hosts * net, within(0.51));
            assertThat(Double.parseDouble(row.group(11))).as("cores").isCloseTo(hosts * 0.01, within(0.0051));
            rows++;
        }
        assertThat(rows).isGreaterThanOrEqualTo(4);
    }

    @Test
    void theExamplesUseMeasuredNumbers() {
        String measured = read(ROOT.resolve("docs/performance.md"));
        double secondsOfAGib = number("constant convergence-ksmd-seconds-a-gib (\\S+)", measured);
        double idle = number("constant convergence-idle-core (\\S+)", measured);

        assertThat(number("c = (\\S+) s", read(PAGE))).isCloseTo(secondsOfAGib, within(secondsOfAGib / 10));
        assertThat(number("for good\\*\\* \\| (\\S+) of a core", read(PAGE))).isCloseTo(idle, within(0.005));
    }

    @Test
    void systemdAcceptsEveryLineOfTheUnit(@TempDir Path directory) throws Exception {
        Path verifier = Path.of("/usr/bin/systemd-analyze");
        assumeThat(verifier).isExecutable();
        // It also checks that the program exists.
        String unit = read(DIST.resolve("ksm-tune.service")).replaceFirst("=/usr/local/bin/ksm ", "=/bin/true ");
        Path copy = Files.writeString(directory.resolve("ksm-tune.service"), unit);

        Process verify = new ProcessBuilder(verifier.toString(), "verify", "--man=no", copy.toString())
                .redirectErrorStream(true)
                .start();

        assertThat(new String(verify.getInputStream().readAllBytes(), StandardCharsets.UTF_8))
                .isEmpty();
        assertThat(verify.waitFor()).isZero();
    }

    private static double number(String pattern, String text) {
        Matcher match = Pattern.compile(pattern).matcher(text);
        assertThat(match.find()).as(pattern).isTrue();
        return Double.parseDouble(match.group(1));
    }

    private static String value(String name, String unit) {
        Matcher match = Pattern.compile("(?m)^" + name + "=(.*)$").matcher(unit);
        assertThat(match.find()).as(name).isTrue();
        return match.group(1);
    }

    private static long mebibytes(String quantity) {
        assertThat(quantity).endsWith("Mi");
        return Long.parseLong(quantity.replace("Mi", ""));
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
