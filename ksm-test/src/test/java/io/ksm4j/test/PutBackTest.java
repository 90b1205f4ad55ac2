package io.ksm4j.test;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIOException;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PutBackTest {

    @Test
    void aSettingThatCannotBeWrittenDoesNotKeepTheOthersFromBeingPutBack(@TempDir Path folder) throws IOException {
        Files.createDirectory(folder.resolve("refused"));
        Files.createDirectory(folder.resolve("refused too"));

        assertThatIOException()
                .isThrownBy(() -> RunningKsmd.putBack(
                        folder,
                        List.of(
                                Map.entry("refused", "1"),
                                Map.entry("run", "0"),
                                Map.entry("refused too", "1"),
                                Map.entry("sleep_millisecs", "20"))))
                .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
        assertThat(folder.resolve("run")).hasContent("0");
        assertThat(folder.resolve("sleep_millisecs")).hasContent("20");
    }
}
