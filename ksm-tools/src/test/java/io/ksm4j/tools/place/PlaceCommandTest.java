// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.place;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.sketch.Samples;
import io.ksm4j.tools.sketch.Sketch;
import io.ksm4j.tools.sketch.SketchFile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class PlaceCommandTest {

    private static final int PAGE = 4096;

    @TempDir
    private Path directory;

    /** Writes sketches of six processes: three of each service have 100 pages in common, and all of them have 10. */
    private List<String> shopAndMail() throws IOException {
        List<String> files = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            String service = i < 3 ? "shop" : "mail";
            files.add(sketch(service + "-" + i, service, i < 3 ? 1000 : 2000, i));
        }
        return files;
    }

    private String sketch(String name, String group, int common, int own) throws IOException {
        int[] pages = IntStream.of(0, common, 10_000 + own * 1000)
                .flatMap(start -> IntStream.range(start, start + (start == 0 ? 10 : start == common ? 100 : 40)))
                .toArray();
        return write(name, Samples.machine(), Samples.sketch(1000, group, pages));
    }

    private String write(String name, Sketch.Machine machine, Sketch... sketches) throws IOException {
        Path file = directory.resolve(name + ".sketch");
        SketchFile.write(file, machine, List.of(sketches));
        return file.toString();
    }

    private static String run(List<String> files, String... options) throws IOException {
        List<String> arguments = new ArrayList<>(files);
        arguments.addAll(List.of(options));
        PlaceCommand command = new PlaceCommand();
        new CommandLine(command).parseArgs(arguments.toArray(String[]::new));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        PrintStream before = System.out;
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        try {
            assertThat(command.call()).isZero();
        } finally {
            System.setOut(before);
        }
        return out.toString(StandardCharsets.UTF_8);
    }

    private static List<String> all(String pattern, String text) {
        return Pattern.compile(pattern)
                .matcher(text)
                .results()
                .map(MatchResult::group)
                .toList();
    }

    @Test
    void processesWithEqualPagesShareAHost() throws IOException {
        String json = run(shopAndMail(), "--hosts", "2", "--json", "--pairs", "6");

        long across = 2 * 2 * 110;
        assertThat(json)
                .startsWith("{\"pageSize\": 4096, \"hostLimit\": 2, ")
                .contains("\"withinBytes\": 0, \"acrossBytes\": " + across * PAGE + ", \"savedBytes\": " + across * PAGE
                        + ", \"errorBytes\": 0, ");
        String hosts = json.substring(json.indexOf("\"hosts\""), json.indexOf("\"kubernetes\""));
        assertThat(all("\"process\": \"\\w+", hosts))
                .containsExactly(
                        "\"process\": \"shop",
                        "\"process\": \"shop",
                        "\"process\": \"shop",
                        "\"process\": \"mail",
                        "\"process\": \"mail",
                        "\"process\": \"mail");
        assertThat(all("\"first\": \"(shop-\\d\", \"second\": \"shop|mail-\\d\", \"second\": \"mail)", json))
                .hasSize(6);
        assertThat(json)
                .contains("{\"group\": \"mail\", \"size\": 3, \"withinBytes\": 0, \"acrossBytes\": " + 2 * 110 * PAGE);
    }

    @Test
    void jsonIsDocumented() throws IOException {
        String page = Files.readString(Path.of("..", "docs", "placement.md"));

        String json = run(shopAndMail(), "--hosts", "2", "--json", "--spread", "shop=2");

        String ours = json.replaceAll("\"spec\": .*", "\"spec\":");
        assertThat(all("(?<=\")\\w+(?=\":)", ours))
                .isNotEmpty()
                .allSatisfy(name -> assertThat(page).contains("`" + name + "`"));
    }

    @Test
    void theTextNamesPairsGroupsAndHosts() throws IOException {
        String text = run(shopAndMail(), "--hosts", "2");

        assertThat(text)
                .containsPattern("(?m)^ +ACROSS +SAVED +PAIR\n +440.0 KiB +440.0 KiB +(shop|mail)-. (shop|mail)-.\n")
                .containsPattern("(?m)^ +880.0 KiB +880.0 KiB +3 +mail\n +880.0 KiB +880.0 KiB +3 +shop\n")
                .containsPattern("(?m)^ +880.0 KiB +880.0 KiB +1.8 MiB +shop-0 shop-1 shop-2\n")
                .containsPattern("(?m)^saved +1.7 MiB: 0 B within processes and 1.7 MiB across\n");
    }

    @Test
    void theLimitsOfGroupsHold() throws IOException {
        String text = run(shopAndMail(), "--hosts", "3", "--spread", "shop=1", "--spread", "mail=2");

        List<String> hosts = all("(?m)^.*(shop-|mail-).*$", text.substring(text.indexOf("HOST")));
        assertThat(hosts)
                .hasSize(3)
                .allMatch(host -> all("shop-", host).size() <= 1)
                .allMatch(host -> all("mail-", host).size() <= 2);
    }

    /** One host has two of shop, the other one has the third and all of mail. */
    @Test
    void kubernetesIsToldWhichPodsBelongTogether() throws IOException {
        String text = run(shopAndMail(), "--hosts", "2", "--spread", "shop=2", "--label", "example.org/service");

        assertThat(text).endsWith("""
                ---
                # For the pod template of mail:
                spec:
                  affinity:
                    podAffinity:
                      preferredDuringSchedulingIgnoredDuringExecution:
                      - weight: 100
                        podAffinityTerm:
                          labelSelector:
                            matchLabels:
                              example.org/service: "mail"
                          topologyKey: kubernetes.io/hostname
                ---
                # For the pod template of shop:
                spec:
                  affinity:
                    podAffinity:
                      preferredDuringSchedulingIgnoredDuringExecution:
                      - weight: 100
                        podAffinityTerm:
                          labelSelector:
                            matchLabels:
                              example.org/service: "shop"
                          topologyKey: kubernetes.io/hostname
                  topologySpreadConstraints:
                  - maxSkew: 1
                    topologyKey: kubernetes.io/hostname
                    whenUnsatisfiable: DoNotSchedule
                    labelSelector:
                      matchLabels:
                        example.org/service: "shop"
                """);
    }

    @Test
    void afterMergingMoreFits() throws IOException {
        // Each has 150 pages, of which 110 are the same: 230 pages remain of three, and some records.
        List<String> files = shopAndMail();

        assertThatThrownBy(() -> run(files, "--hosts", "2", "--memory", "1m"))
                .isInstanceOf(CommandFailedException.class)
                .hasMessage("found no distribution of 6 processes that fits on 2 hosts with 1.0 MiB each:"
                        + " raise --hosts or --memory, or relax --spread");
        assertThat(run(files, "--hosts", "2", "--memory", "1m", "--overcommit"))
                .contains("  shop-0 shop-1 shop-2\n", "  mail-3 mail-4 mail-5\n");
    }

    @Test
    void aFileWithSeveralProcessesIsNamedWithTheirPids() throws IOException {
        Sketch one = Samples.sketch(10, "a", 1, 2, 3);
        Sketch other = new Sketch(77, "Main", "a", one.memory(), 3, 0, 0, one.sample());

        assertThat(run(List.of(write("host", Samples.machine(), one, other)), "--hosts", "1"))
                .contains("  host:1 host:77\n");
    }

    @Test
    void sketchesThatCannotBeComparedAreRefused() throws IOException {
        Sketch.Machine machine = Samples.machine();
        Sketch sketch = Samples.sketch(10, "a", 1, 2, 3);
        String first = write("first", machine, sketch);
        String otherKey = write("key", new Sketch.Machine(machine.key() + 1, PAGE, 256, false), sketch);
        String otherSize = write("size", new Sketch.Machine(machine.key(), 16384, 256, false), sketch);

        assertThatThrownBy(() -> run(List.of(first, otherKey), "--hosts", "1"))
                .isInstanceOf(CommandFailedException.class)
                .hasMessage(first + " and " + otherKey
                        + " were written with different keys: write all sketches with the same --key-file");
        assertThatThrownBy(() -> run(List.of(first, otherSize), "--hosts", "1"))
                .isInstanceOf(CommandFailedException.class)
                .hasMessageStartingWith(first + " and " + otherSize + " are from machines with different page sizes");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--spread=web=1  | no process belongs to the group web: the groups are mail, shop",
                "--spread=shop=1 | --spread shop=1 allows 2 processes on 2 hosts, but the group has 3: raise one of the"
                        + " two",
                "--memory=1k     | shop-0 needs 600.0 KiB, more than a host has: raise --memory"
            })
    void limitsThatCannotHoldAreRefused(String option, String message) throws IOException {
        List<String> files = shopAndMail();

        assertThatThrownBy(() -> run(files, "--hosts", "2", option))
                .isInstanceOf(CommandFailedException.class)
                .hasMessage(message);
    }

    /** More processes than the exact search can group, with samples that a small heap has to make smaller. */
    @Test
    void aLargeFleetIsSampledAndPairsAreReadAgain() throws IOException {
        List<Path> files = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            files.add(Path.of(sketch("web-" + i, "web", 1000, i)));
        }

        Fleet fleet = Fleet.read(files, 500);

        assertThat(fleet.sketches().stream()
                        .mapToInt(sketch -> sketch.sample().size())
                        .sum())
                .isBetween(100, 500);
        assertThat(fleet.complete(Set.of(3, 19)))
                .hasSize(2)
                .allSatisfy(
                        (index, sketch) -> assertThat(sketch.sample().size()).isEqualTo(150));
        assertThat(run(files.stream().map(Path::toString).toList(), "--hosts", "4"))
                .containsPattern("(?m)^saved +6.9 MiB: 0 B within processes and 6.9 MiB across\n");
    }
}
