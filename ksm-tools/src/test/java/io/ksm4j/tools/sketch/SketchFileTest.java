// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.ksm4j.tools.output.CommandFailedException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SketchFileTest {

    @TempDir
    private Path directory;

    private static Sketch sketch(int capacity) {
        Sample sample = Samples.of(capacity, IntStream.range(0, 1000).map(page -> page / 3));
        return new Sketch(42, "org.example.Müller\u001b", "web-1", 5 << 20, 1100, 100, 7, sample);
    }

    private Path written(Sketch... sketches) throws IOException {
        Path file = directory.resolve("web.sketch");
        SketchFile.write(file, Samples.machine(), List.of(sketches));
        return file;
    }

    private static List<Long> hashes(Sketch sketch) {
        return LongStream.range(0, sketch.sample().size())
                .mapToObj(i -> sketch.sample().hash((int) i))
                .toList();
    }

    private static List<Integer> counts(Sketch sketch) {
        return IntStream.range(0, sketch.sample().size())
                .mapToObj(sketch.sample()::count)
                .toList();
    }

    @Test
    void whatIsReadIsWhatWasWritten() throws IOException {
        Sketch all = sketch(1000);
        Sketch some = sketch(100);

        List<Sketch> read = SketchFile.read(written(all, some));

        assertThat(read).hasSize(2);
        assertThat(read.get(0).name()).as("control characters are replaced").isEqualTo("org.example.Müller?");
        assertThat(read)
                .usingRecursiveFieldByFieldElementComparatorIgnoringFields("name", "sample")
                .containsExactly(all, some);
        for (int i = 0; i < 2; i++) {
            Sketch expected = i == 0 ? all : some;
            assertThat(read.get(i).sample().threshold())
                    .isEqualTo(expected.sample().threshold());
            assertThat(hashes(read.get(i))).isEqualTo(hashes(expected));
            assertThat(counts(read.get(i))).isEqualTo(counts(expected));
        }
        assertThat(SketchFile.read(directory.resolve("web.sketch"), sketch -> {}))
                .isEqualTo(Samples.machine());
    }

    @Test
    void onlyTheOwnerMayReadAFile() throws IOException {
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(written(sketch(10)))))
                .isEqualTo("rw-------");
    }

    @Test
    void aFileIsReplacedAsAWhole() throws IOException {
        Path file = written(sketch(1000));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r--r--"));

        assertThat(SketchFile.read(written(sketch(10))).get(0).sample().size()).isEqualTo(10);
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files).containsExactly(file);
        }
    }

    @Test
    void aProcessTakesAtMostOneMebibyte() throws IOException {
        Sample sample =
                Samples.of(SketchFile.MAX_CONTENTS, IntStream.range(0, 200_000).map(page -> page / 2));
        String name = "x".repeat(300);

        Path file = written(new Sketch(1, name, Sketch.groupOf(name), 1, 200_000, 0, 0, sample));

        assertThat(sample.size()).isEqualTo(SketchFile.MAX_CONTENTS);
        assertThat(Files.size(file)).isLessThanOrEqualTo(1 << 20);
        assertThat(SketchFile.read(file)).hasSize(1);
    }

    @Test
    void damageIsFound() throws IOException {
        Path file = written(sketch(20), sketch(5));
        byte[] bytes = Files.readAllBytes(file);
        for (int at = 0; at < bytes.length; at++) {
            byte[] damaged = bytes.clone();
            damaged[at] ^= 1;
            Files.write(file, damaged);
            assertIsRefused(file, "byte " + at + " is wrong");
            Files.write(file, Arrays.copyOf(bytes, at));
            assertIsRefused(file, "only " + at + " bytes");
        }
        Files.write(file, Arrays.copyOf(bytes, bytes.length + 1));
        assertIsRefused(file, "one byte too many");
    }

    private static void assertIsRefused(Path file, String why) {
        assertThat(catchThrowable(() -> SketchFile.read(file)))
                .as(why)
                .isInstanceOf(CommandFailedException.class)
                .hasMessageStartingWith(file.toString())
                .hasMessageContaining(": ")
                .hasMessageContaining("ksm estimate --sketch");
    }

    @Test
    void otherFilesAreRefused() throws IOException {
        Path file = Files.writeString(directory.resolve("notes.txt"), "These are some notes, not a sketch.\n");

        assertThatThrownBy(() -> SketchFile.read(file))
                .hasMessage(file + " is not a sketch: specify files that ksm estimate --sketch has written");
        assertThatThrownBy(() -> SketchFile.read(directory))
                .hasMessage(directory + " is not a sketch: specify files that ksm estimate --sketch has written");
    }

    @Test
    void aDirectoryThatDoesNotExistIsNamed() {
        Path missing = directory.resolve("missing");

        assertThatThrownBy(() -> SketchFile.requireDirectory(missing.resolve("web.sketch")))
                .isInstanceOf(NoSuchFileException.class)
                .hasMessage(missing.toString());
        assertThatThrownBy(() -> SketchFile.requireDirectory(directory))
                .isInstanceOf(CommandFailedException.class)
                .hasMessage(directory + " is a directory: specify a file");
    }

    @Test
    void groupsAreLabelValues() {
        assertThat(Sketch.groupOf("org.example.Main")).isEqualTo("org.example.Main");
        assertThat(Sketch.groupOf("/opt/a b.jar")).isEqualTo("opt-a-b.jar");
        assertThat(Sketch.groupOf("???")).isEqualTo("process");
        assertThat(List.of("x".repeat(100), "-".repeat(70) + "a", "a" + "-".repeat(70), "_", ""))
                .map(Sketch::groupOf)
                .allMatch(Sketch::isGroup);
    }
}
