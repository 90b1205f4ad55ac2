// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** Writes the manual pages and shell completions from the text of {@code --help}. The build runs it. */
final class Manual {

    private static final String SECTION = "1";

    private final CommandSpec spec;
    private final StringBuilder roff = new StringBuilder();

    private Manual(CommandSpec spec) {
        this.spec = spec;
    }

    /**
     * Writes all pages and completions.
     *
     * @param arguments the directory to write to, which is created if it is missing
     * @throws IOException if writing fails
     */
    public static void main(String[] arguments) throws IOException {
        Path directory = Files.createDirectories(Path.of(arguments[0]));
        CommandLine ksm = KsmCommand.commandLine();
        Files.writeString(directory.resolve("ksm.bash"), Completion.bash(ksm));
        Files.writeString(directory.resolve("_ksm"), Completion.zsh(ksm));
        Files.writeString(directory.resolve("ksm.fish"), Completion.fish(ksm));
        write(directory, ksm);
        for (CommandLine subcommand : pages(ksm)) {
            write(directory, subcommand);
        }
    }

    /** Returns the subcommands with a page: all except {@code help}. */
    static List<CommandLine> pages(CommandLine ksm) {
        return ksm.getSubcommands().values().stream()
                .filter(subcommand -> !subcommand.getCommandName().equals(KsmCommand.HELP))
                .toList();
    }

    private static void write(Path directory, CommandLine command) throws IOException {
        String name = nameOf(command.getCommandSpec());
        Files.writeString(directory.resolve(name + "." + SECTION), new Manual(command.getCommandSpec()).page(name));
    }

    private static String nameOf(CommandSpec spec) {
        return spec.qualifiedName("-");
    }

    private String page(String name) {
        roff.append(".TH \"").append(name.toUpperCase(Locale.ROOT)).append("\" " + SECTION + " \"\" \"ksm4j\"\n");
        List<String> description = List.of(spec.usageMessage().description());
        section("NAME");
        line(name + " - " + description.get(0));
        section("SYNOPSIS");
        roff.append(".nf\n");
        line(text(spec.commandLine().getHelp().synopsis(0)).strip());
        roff.append(".fi\n");
        section("DESCRIPTION");
        description.forEach(this::line);
        arguments();
        if (!spec.subcommands().isEmpty()) {
            section("COMMANDS");
            spec.subcommands()
                    .forEach((subcommand, line) -> item(
                            subcommand,
                            List.of(line.getCommandSpec().usageMessage().description()[0])));
        }
        section("EXIT STATUS");
        for (String line : spec.usageMessage().footer()) {
            line(text(line).strip());
        }
        section("SEE ALSO");
        line(
                spec.parent() == null
                        ? String.join(
                                ", ",
                                pages(spec.commandLine()).stream()
                                        .map(subcommand -> "ksm-" + subcommand.getCommandName() + "(" + SECTION + ")")
                                        .toList())
                        : "ksm(" + SECTION + ")");
        return roff.toString();
    }

    private void arguments() {
        if (!spec.positionalParameters().isEmpty()) {
            section("ARGUMENTS");
            for (PositionalParamSpec parameter : spec.positionalParameters()) {
                item(parameter.paramLabel(), descriptionOf(parameter));
            }
        }
        section("OPTIONS");
        for (OptionSpec option : spec.options()) {
            String label = option.arity().max() == 0 ? "" : " " + option.paramLabel();
            item(String.join(", ", option.names()) + label, descriptionOf(option));
        }
    }

    private static List<String> descriptionOf(ArgSpec argument) {
        return List.of(argument.description());
    }

    private void section(String title) {
        roff.append(".SH ").append(title).append('\n');
    }

    private void item(String term, List<String> description) {
        roff.append(".TP\n");
        line(term);
        for (int i = 0; i < description.size(); i++) {
            roff.append(i == 0 ? "" : ".br\n");
            line(description.get(i));
        }
    }

    private void line(String text) {
        // A hyphen that the user types, not one that breaks a line. And no line may start a roff request.
        String escaped = text(text).replace("\\", "\\e").replace("-", "\\-");
        roff.append(escaped.startsWith(".") || escaped.startsWith("'") ? "\\&" : "")
                .append(escaped)
                .append('\n');
    }

    static String text(String markup) {
        return Ansi.OFF.string(String.format(markup.replaceAll("%(?!n)", "%%")));
    }
}
