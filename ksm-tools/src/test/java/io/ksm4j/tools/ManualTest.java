// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

class ManualTest {

    private static final Set<String> REQUESTS = Set.of(".TH", ".SH", ".TP", ".br", ".nf", ".fi");

    @TempDir
    private Path directory;

    @Test
    void everySubcommandHasAPageWithEveryOption() throws IOException {
        Manual.main(new String[] {directory.toString()});

        CommandLine ksm = KsmCommand.commandLine();
        assertThat(directory.resolve("ksm.1")).content().contains(".SH COMMANDS\n.TP\ndoctor\n", "ksm\\-status(1)");
        for (CommandLine subcommand : Manual.pages(ksm)) {
            Path page = directory.resolve("ksm-" + subcommand.getCommandName() + ".1");
            for (OptionSpec option : subcommand.getCommandSpec().options()) {
                assertThat(page).content().contains(option.longestName().replace("-", "\\-"));
            }
        }
    }

    @Test
    void pagesHaveOnlyIntendedRequests() throws IOException {
        Manual.main(new String[] {directory.toString()});

        try (Stream<Path> pages = Files.list(directory)) {
            List<String> requests = pages.filter(page -> page.toString().endsWith(".1"))
                    .flatMap(ManualTest::lines)
                    .filter(line -> line.startsWith(".") || line.startsWith("'"))
                    .map(line -> line.replaceAll(" .*", ""))
                    .toList();
            assertThat(requests).isNotEmpty().allMatch(REQUESTS::contains);
        }
    }

    private static Stream<String> lines(Path file) {
        try {
            return Files.readAllLines(file).stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void fishCompletesEverySubcommandAndOption() throws IOException {
        Manual.main(new String[] {directory.toString()});

        CommandLine ksm = KsmCommand.commandLine();
        List<String> lines = Files.readAllLines(directory.resolve("ksm.fish"));
        assertThat(lines.subList(1, lines.size())).allMatch(line -> line.startsWith("complete -c ksm "));
        for (CommandLine subcommand : ksm.getSubcommands().values()) {
            String name = subcommand.getCommandName();
            assertThat(lines)
                    .anyMatch(line -> line.startsWith("complete -c ksm -n __fish_use_subcommand -a " + name + " "));
            for (OptionSpec option : subcommand.getCommandSpec().options()) {
                assertThat(lines)
                        .anyMatch(line -> line.contains("'__fish_seen_subcommand_from " + name + "'")
                                && line.contains(" -l " + option.longestName().substring(2)));
            }
        }
        assertThat(lines)
                .contains("complete -c ksm -n '__fish_seen_subcommand_from tune' -l policy -x"
                        + " -a 'converge pressure ksmtuned advisor'");
    }

    /** zsh loads a file of that name because of its first line, and runs it for the first completion. */
    @Test
    void zshLoadsTheBashCompletion() throws IOException {
        Manual.main(new String[] {directory.toString()});

        assertThat(directory.resolve("_ksm"))
                .content()
                .startsWith("#compdef ksm\n")
                .contains(Files.readString(directory.resolve("ksm.bash")))
                .endsWith("\n_bash_complete -o default -F _complete_ksm\n");
    }

    @Test
    void bashCompletesSubcommands() throws Exception {
        Manual.main(new String[] {directory.toString()});
        String script = "source \"$0\"; COMP_WORDS=(ksm do); COMP_CWORD=1; _complete_ksm; echo \"${COMPREPLY[*]}\"";

        Process bash = new ProcessBuilder(
                        "bash", "-c", script, directory.resolve("ksm.bash").toString())
                .redirectErrorStream(true)
                .start();

        assertThat(new String(bash.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip())
                .isEqualTo("doctor");
        assertThat(bash.waitFor()).isZero();
    }
}
