// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.Needed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.yaml.snakeyaml.LoaderOptions;
import org.yaml.snakeyaml.Yaml;
import org.yaml.snakeyaml.constructor.SafeConstructor;

/** The kustomization changes nothing but what is set. */
@Aside
@Tag("long")
class KustomizationTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();
    private static final Path KUBERNETES = ROOT.resolve("ksm-tools/src/main/dist/kubernetes");
    private static final Pattern IMAGE = Pattern.compile("(?<=image: )\\S+");

    @TempDir
    private Path directory = Path.of("");

    @BeforeEach
    void requireKubectl() {
        Needed.program("kubectl", "kubernetes-client");
    }

    private static List<Object> documents(String text) {
        List<Object> documents = new ArrayList<>();
        new Yaml(new SafeConstructor(new LoaderOptions())).loadAll(text).forEach(documents::add);
        return documents;
    }

    /** Lets kubectl find no configuration and keep no files. */
    private EndedProcess kubectl(String... arguments) {
        List<String> command = new ArrayList<>(List.of("env", "HOME=" + directory, "KUBECONFIG=/dev/null", "kubectl"));
        command.addAll(List.of(arguments));
        return EndedProcess.run(command);
    }

    private List<Object> rendered(Path kustomization) {
        EndedProcess rendering = kubectl("kustomize", kustomization.toString());
        assertThat(rendering.exitStatus()).as(rendering.errors()).isZero();
        return documents(rendering.output());
    }

    @Test
    void withoutChangesItIsTheManifest() throws IOException {
        assertThat(rendered(KUBERNETES))
                .containsExactlyInAnyOrderElementsOf(documents(Files.readString(KUBERNETES.resolve("ksm-tune.yaml"))));
    }

    @Test
    void theExampleSetsTheImageAndAddsThePodMonitor() throws IOException {
        // 1.20, of Debian 12, has no components.
        assumeThat(kubectl("version", "--client").output())
                .as("version of kubectl")
                .doesNotContainPattern("GitVersion:\"v1\\.(?:1\\d|20)\\.");
        Matcher example = Pattern.compile("```yaml\n(# kustomization\\.yaml\n.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(ROOT.resolve("docs/operations.md")));
        assertThat(example.find()).isTrue();
        // kubectl rejects absolute paths.
        Path own = directory.toRealPath();
        Files.writeString(
                own.resolve("kustomization.yaml"),
                example.group(1).replace("ksm4j/ksm-tools", own.relativize(ROOT) + "/ksm-tools"));

        String manifest = Files.readString(KUBERNETES.resolve("ksm-tune.yaml"));
        assertThat(IMAGE.matcher(manifest).results()).hasSize(1);
        List<Object> expected = documents(IMAGE.matcher(manifest).replaceFirst("registry.example.org/tools/ksm4j:7"));
        expected.addAll(documents(Files.readString(KUBERNETES.resolve("prometheus-operator/pod-monitor.yaml"))));
        assertThat(rendered(own)).containsExactlyInAnyOrderElementsOf(expected);
    }
}
