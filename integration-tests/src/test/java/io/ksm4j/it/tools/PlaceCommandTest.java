// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.tools;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.ksm4j.Ksm;
import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.EnabledIfRoot;
import io.ksm4j.it.fixtures.KsmProcess;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.RunningJvm;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code ksm place} for JVMs whose pages are known, compared with {@code ksm estimate} for all of them. */
@EnabledIfRoot
class PlaceCommandTest {

    private static final long PAGE = Ksm.system().pageSize();

    private final String salt = Long.toString(new SecureRandom().nextInt());

    @TempDir
    private Path directory;

    private String key;

    @BeforeEach
    void createKey() throws IOException {
        byte[] secret = new byte[32];
        new SecureRandom().nextBytes(secret);
        Path file = Files.createFile(
                directory.resolve("ksm.key"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        key = Files.write(file, secret).toString();
    }

    private RunningJvm holder(String... parts) throws IOException {
        List<String> arguments = new ArrayList<>(List.of(salt));
        arguments.addAll(List.of(parts));
        RunningJvm jvm = RunningJvm.start(EstimateCommandTest.Holder.class, arguments.toArray(String[]::new));
        jvm.awaitLineThatContains("ready ");
        return jvm;
    }

    private Path sketch(String name, RunningJvm jvm, String... options) {
        Path file = directory.resolve(name + ".sketch");
        List<String> arguments = new ArrayList<>(
                List.of("estimate", "--marked", "--sketch", file.toString(), "--key-file", key, "--json"));
        arguments.addAll(List.of(options));
        arguments.add(Long.toString(jvm.pid()));
        EndedProcess estimate = KsmProcess.run(arguments.toArray(String[]::new));
        assertThat(estimate.exitStatus()).as(estimate.errors()).isZero();
        return file;
    }

    private static String output(String... arguments) {
        EndedProcess ksm = KsmProcess.run(arguments);
        assertThat(ksm.exitStatus()).as(ksm.errors()).isZero();
        return ksm.output();
    }

    private static long number(String json, String name) {
        Matcher matcher = Pattern.compile("\"" + name + "\": (-?\\d+)").matcher(json);
        assertThat(matcher.find()).as(json).isTrue();
        return Long.parseLong(matcher.group(1));
    }

    @Test
    void smallProcessesAreComparedExactly() throws IOException {
        try (RunningJvm one = holder("512:100", "600:1", "20:0");
                RunningJvm other = holder("300:150", "100:100", "10:0")) {
            String joint =
                    output("estimate", "--marked", "--json", Long.toString(one.pid()), Long.toString(other.pid()));

            Path first = sketch("one", one);
            Path second = sketch("other", other, "--group", "others");
            String placed = output("place", "--json", "--hosts", "1", first.toString(), second.toString());

            for (String name : List.of("withinBytes", "acrossBytes", "savedBytes", "errorBytes", "costBytes")) {
                assertThat(number(placed, name)).as(name).isEqualTo(number(joint, name));
            }
            assertThat(number(placed, "acrossBytes")).isEqualTo(102 * PAGE);
            assertThat(placed)
                    .contains("\"first\": \"one\", \"second\": \"other\"")
                    .contains("\"group\": \"others\"", "\"group\": \"io.ksm4j.it.tools.EstimateCommandTest-Holder\"");
            assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(first)))
                    .isEqualTo("rw-------");
        }
    }

    /** The second process has pages of which the first one has the frames already. */
    @Test
    void pagesThatProcessesShareAlreadyAreInBothSketches() throws Exception {
        String script = "x=$(head -c 8388608 /dev/urandom | base64 -w 0); while :; do sleep 100; done & echo $!; wait";
        Process parent = new ProcessBuilder("bash", "-c", script).start();
        try {
            String child = parent.inputReader(StandardCharsets.UTF_8).readLine();
            String file = directory.resolve("family.sketch").toString();

            output("estimate", "--sketch", file, "--key-file", key, Long.toString(parent.pid()), child);

            assertThat(number(output("place", "--json", "--hosts", "1", file), "acrossBytes"))
                    .isGreaterThan(10 << 20);
        } finally {
            parent.descendants().forEach(ProcessHandle::destroyForcibly);
            parent.destroyForcibly();
        }
    }

    /** 100,000 contents do not fit into a sketch. */
    @Tag("long")
    @Test
    void sampledProcessesAreComparedWithinFivePercent() throws IOException {
        try (RunningJvm one = holder("60000:60000", "50000:40000");
                RunningJvm other = holder("60000:60000", "1:1", "40000:40000")) {
            String joint =
                    output("estimate", "--marked", "--json", Long.toString(one.pid()), Long.toString(other.pid()));

            Path first = sketch("one", one);
            Path second = sketch("other", other);
            String placed = output("place", "--json", "--hosts", "1", first.toString(), second.toString());

            // The first parts, and the page of the second part of the other process.
            assertThat(number(joint, "acrossBytes")).isEqualTo(60_001 * PAGE);
            assertThat(number(placed, "errorBytes")).isPositive();
            for (String name : List.of("acrossBytes", "savedBytes")) {
                assertThat((double) number(placed, name))
                        .isCloseTo((double) number(joint, name), within(0.05 * number(joint, name)));
            }
            assertThat(Files.size(first)).isBetween(1_000_000L, 1L << 20);
        }
    }

    @Tag("long")
    @Test
    @EnabledIfKsm(control = true)
    void pagesThatChangeAreLeftOutOfASketch(RunningKsmd ksmd) throws Exception {
        ksmd.set(KsmSetting.RUN, 0);
        try (RunningJvm jvm = RunningJvm.start(EstimateCommandTest.Changer.class, salt)) {
            jvm.awaitLine("ready");

            Path all = sketch("all", jvm);
            Path stable = sketch("stable", jvm, "--stable", "1");

            // The kernel keeps 64 bytes for each page, and for each content of several; two of the 200 may be equal.
            long recordsOfAll = number(output("place", "--json", "--hosts", "1", all.toString()), "costBytes");
            String placed = output("place", "--json", "--hosts", "1", stable.toString());
            assertThat(number(placed, "withinBytes")).isEqualTo(999 * PAGE);
            assertThat(number(placed, "savedBytes")).isEqualTo((1000 - 4) * PAGE);
            assertThat(recordsOfAll - number(placed, "costBytes")).isBetween(200 * 64L, 300 * 64L);
        }
    }

    @Test
    void withoutAKeyNothingIsWritten() {
        Path file = directory.resolve("web.sketch");

        EndedProcess estimate = KsmProcess.run("estimate", "--sketch", file.toString(), "1");

        assertThat(estimate.exitStatus()).isEqualTo(2);
        assertThat(estimate.errors())
                .contains("--sketch needs --key-file FILE")
                .contains("head -c 32 /dev/urandom > ksm.key");
        assertThat(file).doesNotExist();
    }

    @Test
    void aFileThatIsNoSketchIsNamed() {
        EndedProcess place = KsmProcess.run("place", "--hosts", "1", key);

        assertThat(place.exitStatus()).isEqualTo(1);
        assertThat(place.errors())
                .isEqualTo("ksm: " + key + " is not a sketch: specify files that ksm estimate --sketch has written\n");
    }
}
