// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools;

import io.ksm4j.KsmException;
import io.ksm4j.tools.attach.AttachCommand;
import io.ksm4j.tools.doctor.DoctorCommand;
import io.ksm4j.tools.estimate.EstimateCommand;
import io.ksm4j.tools.live.TopCommand;
import io.ksm4j.tools.live.WatchCommand;
import io.ksm4j.tools.output.ClosedPipeException;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.Console;
import io.ksm4j.tools.output.ExitStatus;
import io.ksm4j.tools.output.StandardOutput;
import io.ksm4j.tools.place.PlaceCommand;
import io.ksm4j.tools.run.FileDescriptors;
import io.ksm4j.tools.run.RunCommand;
import io.ksm4j.tools.status.StatusCommand;
import io.ksm4j.tools.tune.TuneCommand;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command {@code ksm}. Each subcommand is a class in a package of its own. */
@Command(
        name = "ksm",
        mixinStandardHelpOptions = true,
        description = "Kernel Samepage Merging: checks whether it works, and shows what it saves and costs.",
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "%nExits with 0 on success, with 1 on failure, with 2 if the command line is invalid,",
            "and with 128 plus the number of the signal that terminated it."
        })
final class KsmCommand {

    private static final int SIGPIPE = 13;

    static final String HELP = "help";

    /** The subcommands by name, in the order of the help. */
    private static final Map<String, Supplier<Object>> SUBCOMMANDS = subcommands();

    private KsmCommand() {}

    private static Map<String, Supplier<Object>> subcommands() {
        Map<String, Supplier<Object>> subcommands = new LinkedHashMap<>();
        subcommands.put("doctor", DoctorCommand::new);
        subcommands.put("status", StatusCommand::new);
        subcommands.put("estimate", EstimateCommand::new);
        subcommands.put("place", PlaceCommand::new);
        subcommands.put("top", TopCommand::new);
        subcommands.put("watch", WatchCommand::new);
        subcommands.put("tune", TuneCommand::new);
        subcommands.put("run", RunCommand::new);
        subcommands.put("attach", AttachCommand::new);
        subcommands.put(HELP, CommandLine.HelpCommand::new);
        return subcommands;
    }

    /**
     * Runs the command and exits.
     *
     * @param arguments see {@code ksm --help}
     * @throws Exception if there is a bug
     */
    public static void main(String[] arguments) throws Exception {
        System.exit(run(arguments));
    }

    private static int run(String... arguments) throws Exception {
        if (arguments.length > 0 && arguments[0].equals("run")) {
            FileDescriptors.rememberInherited();
        }
        // Some locales have other digits, which scripts do not expect.
        Locale.setDefault(Locale.Category.FORMAT, Locale.ROOT);
        // Log messages of the library are single lines too.
        if (System.getProperty("io.ksm4j.jmx") == null) {
            System.setProperty("io.ksm4j.jmx", "false"); // Unused, and registering takes time.
        }
        System.setProperty("java.util.logging.SimpleFormatter.format", "ksm: %5$s%n");
        System.setOut(new PrintStream(new BufferedOutputStream(new StandardOutput()), false, Console.charset()));
        try {
            int status = isPlainStatus(arguments) ? showStatus(arguments.length > 1) : parseAndRun(arguments);
            System.out.flush();
            return status;
        } catch (ClosedPipeException e) {
            return ExitStatus.SIGNAL + SIGPIPE;
        } catch (CommandFailedException e) {
            return fail(e.getMessage());
        }
    }

    /** {@return whether this is {@code ksm status} or {@code ksm status --json}} */
    private static boolean isPlainStatus(String... arguments) {
        return arguments.length > 0
                && arguments[0].equals("status")
                && (arguments.length == 1 || (arguments.length == 2 && arguments[1].equals("--json")));
    }

    /** Does what scripts call again and again without picocli: loading its classes takes longer than all the rest. */
    private static int showStatus(boolean asJson) throws Exception {
        try {
            return new StatusCommand(asJson).call();
        } catch (RuntimeException e) {
            return handle(e);
        }
    }

    private static int parseAndRun(String... arguments) {
        // If printing the help failed, picocli would print a stack trace.
        StringWriter help = new StringWriter();
        int status = commandLine(arguments).setOut(new PrintWriter(help)).execute(arguments);
        System.out.print(help);
        return status;
    }

    /** Returns the whole command, as shown by {@code --help}, the manual and the completions. */
    static CommandLine commandLine() {
        return commandLine(SUBCOMMANDS.keySet());
    }

    /**
     * Returns the command with only the subcommand that is called: for a short command, inspecting all of them takes
     * much of the time.
     */
    private static CommandLine commandLine(String... arguments) {
        boolean one = arguments.length > 0 && SUBCOMMANDS.containsKey(arguments[0]) && !arguments[0].equals(HELP);
        return commandLine(one ? Set.of(arguments[0]) : SUBCOMMANDS.keySet());
    }

    private static CommandLine commandLine(Set<String> names) {
        CommandLine ksm = new CommandLine(new KsmCommand());
        for (String name : names) {
            CommandLine subcommand = new CommandLine(SUBCOMMANDS.get(name).get());
            subcommand.getCommandSpec().version(version());
            // Arguments after the program to run belong to the program.
            ksm.addSubcommand(name, subcommand.setStopAtPositional(name.equals("run")));
        }
        ksm.getCommandSpec().version(version());
        Optional.ofNullable(ksm.getSubcommands().get(HELP))
                .ifPresent(help -> help.getCommandSpec()
                        .usageMessage()
                        .header(new String[0])
                        .description("Shows the help of a command, or of ksm."));
        // A name may begin with @.
        return ksm.setExpandAtFiles(false)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler((e, arguments) -> refuse(e))
                .setExecutionExceptionHandler((e, command, parsed) -> handle(e));
    }

    /** Returns the version, which only the runnable jar knows. */
    private static String version() {
        String version = KsmCommand.class.getPackage().getImplementationVersion();
        return "ksm, of ksm4j" + (version == null ? "" : " " + version);
    }

    private static int refuse(ParameterException e) {
        CommandLine command = e.getCommandLine();
        String name = command.getCommandSpec().qualifiedName();
        String problem = command.getParent() == null
                        && e instanceof UnmatchedArgumentException unmatched
                        && !unmatched.isUnknownOption()
                ? "there is no command " + unmatched.getUnmatched().get(0)
                : inPlainWords(e.getMessage());
        Console.say(problem + suggestion(e) + ": see " + name + " --help");
        return ExitStatus.USAGE;
    }

    /** Removes the names of Java types from messages of picocli. */
    private static String inPlainWords(String message) {
        return message.replaceFirst("^Error: ", "")
                .replaceFirst("^Unknown subcommand '(.*)'\\.$", "there is no command $1")
                .replaceFirst(" is not an? (int|long)$", " is not a whole number")
                .replaceFirst(" is not a double$", " is not a number")
                .replace(" (case-insensitive)", "");
    }

    private static String suggestion(ParameterException e) {
        List<String> similar =
                e instanceof UnmatchedArgumentException unmatched ? unmatched.getSuggestions() : List.of();
        return similar.isEmpty() ? "" : " (did you mean " + similar.get(0) + "?)";
    }

    /** Reports failures that a user can understand. Others are bugs: picocli prints their stack traces. */
    private static int handle(Exception e) throws Exception {
        if (e instanceof ClosedPipeException) {
            return ExitStatus.SIGNAL + SIGPIPE;
        }
        if (e instanceof UncheckedIOException && e.getMessage().equals(String.valueOf(e.getCause()))) {
            // It has no message of its own.
            return handle((IOException) e.getCause());
        }
        if (e instanceof FileSystemException file && file.getReason() == null) {
            return fail(explain(file));
        }
        if (e instanceof CommandFailedException
                || e instanceof KsmException
                || e instanceof IOException
                || e instanceof UncheckedIOException) {
            return fail(e.getMessage());
        }
        throw e;
    }

    /** Explains an exception whose message is only the file name, by its class. */
    private static String explain(FileSystemException e) {
        if (e instanceof NoSuchFileException) {
            return "there is no " + e.getFile();
        }
        return e instanceof AccessDeniedException
                ? "no permission to access " + e.getFile() + ": run as root"
                : e.getClass().getSimpleName() + ": " + e.getFile();
    }

    private static int fail(String message) {
        Console.say(message);
        return ExitStatus.FAILURE;
    }
}
