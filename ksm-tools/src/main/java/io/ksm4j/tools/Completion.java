// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools;

import java.util.ArrayList;
import java.util.List;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** Shell completions. picocli generates the one for bash, which zsh can load. */
final class Completion {

    private static final String NAME = "ksm";

    private Completion() {}

    static String bash(CommandLine ksm) {
        return AutoComplete.bash(NAME, ksm);
    }

    /**
     * Returns the function {@code _ksm}, which zsh loads from its {@code fpath} on first use and which must then also
     * complete that first call. zsh parses the file before it runs it, so picocli's alias for {@code compopt}, which
     * zsh lacks, would come too late.
     */
    static String zsh(CommandLine ksm) {
        return "#compdef " + NAME + "\nfunctions[compopt]=:\n" + bash(ksm) + "\n_bash_complete -o default -F _complete_"
                + NAME + "\n";
    }

    static String fish(CommandLine ksm) {
        List<String> lines = new ArrayList<>();
        lines.add("# Completes the command ksm in fish.");
        lines.add("complete -c ksm -f");
        options(lines, ksm.getCommandSpec(), "__fish_use_subcommand");
        ksm.getSubcommands().forEach((name, subcommand) -> {
            CommandSpec spec = subcommand.getCommandSpec();
            String isSeen = "'__fish_seen_subcommand_from " + name + "'";
            lines.add("complete -c ksm -n __fish_use_subcommand -a " + name
                    + describe(spec.usageMessage().description()[0]));
            options(lines, spec, isSeen);
            for (PositionalParamSpec parameter : spec.positionalParameters()) {
                switch (parameter.paramLabel()) {
                    case "PID" -> lines.add("complete -c ksm -n " + isSeen + " -a '(__fish_complete_pids)'");
                    case "SKETCH" -> lines.add("complete -c ksm -n " + isSeen + " -F");
                    case "COMMAND" ->
                        lines.add("complete -c ksm -n " + isSeen + " -a '"
                                + (name.equals(KsmCommand.HELP)
                                        ? String.join(" ", ksm.getSubcommands().keySet())
                                        : "(__fish_complete_subcommand --fcs-skip=2)")
                                + "'");
                    default -> throw new IllegalStateException("no completion for " + parameter.paramLabel());
                }
            }
        });
        return String.join("\n", lines) + "\n";
    }

    private static void options(List<String> lines, CommandSpec spec, String condition) {
        for (OptionSpec option : spec.options()) {
            StringBuilder line = new StringBuilder("complete -c ksm -n ").append(condition);
            for (String name : option.names()) {
                line.append(name.startsWith("--") ? " -l " + name.substring(2) : " -s " + name.substring(1));
            }
            if (option.arity().max() > 0) {
                line.append(option.paramLabel().equals("FILE") ? " -r -F" : " -x");
            }
            line.append(candidates(option));
            // Descriptions of several lines describe the values.
            if (option.description().length == 1) {
                line.append(describe(option.description()[0]));
            }
            lines.add(line.toString());
        }
    }

    private static String candidates(ArgSpec argument) {
        List<String> values = new ArrayList<>();
        if (argument.completionCandidates() != null) {
            argument.completionCandidates().forEach(values::add);
        }
        return values.isEmpty() ? "" : " -a '" + String.join(" ", values) + "'";
    }

    private static String describe(String description) {
        String text = Manual.text(description).strip();
        return " -d '" + text.replace("\\", "\\\\").replace("'", "\\'") + "'";
    }
}
