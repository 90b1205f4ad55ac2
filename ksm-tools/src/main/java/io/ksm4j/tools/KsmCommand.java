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

/** The command {@code ksm}. Each subcommand is a class of its own. */
@Command(
        name = "ksm",
        mixinStandardHelpOptions = true,
        description = "Kernel samepage merging: whether it works here, what it saves, and what it costs.",
        synopsisSubcommandLabel = "COMMAND",
        footer = {
            "%nExits with 0 if all went well, with 1 if something failed, with 2 if the command line is wrong,",
            "and with 128 and the number of the signal that has ended it."
        })
final class KsmCommand {

    private static final int SIGPIPE = 13;

    static final String HELP = "help";

    /** By their names, in the order in which the help shows them. */
    private static final Map<String, Supplier<Object>> SUBCOMMANDS = subcommands();

    private KsmCommand() {}

    private static Map<String, Supplier<Object>> subcommands() {
        Map<String, Supplier<Object>> subcommands = new LinkedHashMap<>();
        subcommands.put("doctor", DoctorCommand::new);
        subcommands.put("status", StatusCommand::new);
        subcommands.put("estimate", EstimateCommand::new);
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
     */
    public static void main(String[] arguments) {
        System.exit(run(arguments));
    }

    private static int run(String... arguments) {
        if (arguments.length > 0 && arguments[0].equals("run")) {
            FileDescriptors.rememberInherited();
        }
        // Some locales have other digits, which no script expects.
        Locale.setDefault(Locale.Category.FORMAT, Locale.ROOT);
        // What the library logs has one line, too.
        if (System.getProperty("io.ksm4j.jmx") == null) {
            System.setProperty("io.ksm4j.jmx", "false"); // Nobody looks, and it would take time.
        }
        System.setProperty("java.util.logging.SimpleFormatter.format", "ksm: %5$s%n");
        System.setOut(new PrintStream(new BufferedOutputStream(new StandardOutput()), false, Console.charset()));
        try {
            // picocli would print the stack trace of a failure to print the help.
            StringWriter help = new StringWriter();
            int status = commandLine(arguments).setOut(new PrintWriter(help)).execute(arguments);
            System.out.print(help);
            System.out.flush();
            return status;
        } catch (ClosedPipeException e) {
            return ExitStatus.SIGNAL + SIGPIPE;
        } catch (CommandFailedException e) {
            return fail(e.getMessage());
        }
    }

    /** The whole command, as {@code --help}, the manual and the completion show it. */
    static CommandLine commandLine() {
        return commandLine(SUBCOMMANDS.keySet());
    }

    /** With the subcommand alone that is called, since looking at all of them takes a good part of the time of a short one. */
    private static CommandLine commandLine(String... arguments) {
        boolean one = arguments.length > 0 && SUBCOMMANDS.containsKey(arguments[0]) && !arguments[0].equals(HELP);
        return commandLine(one ? Set.of(arguments[0]) : SUBCOMMANDS.keySet());
    }

    private static CommandLine commandLine(Set<String> names) {
        CommandLine ksm = new CommandLine(new KsmCommand());
        for (String name : names) {
            CommandLine subcommand = new CommandLine(SUBCOMMANDS.get(name).get());
            subcommand.getCommandSpec().version(version());
            // What comes after the program to run is the program's.
            ksm.addSubcommand(name, subcommand.setStopAtPositional(name.equals("run")));
        }
        ksm.getCommandSpec().version(version());
        Optional.ofNullable(ksm.getSubcommands().get(HELP))
                .ifPresent(help -> help.getCommandSpec()
                        .usageMessage()
                        .header(new String[0])
                        .description("Shows the help of a command, or, without one, of ksm."));
        // A name that begins with @ is a name.
        return ksm.setExpandAtFiles(false)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler((e, arguments) -> refuse(e))
                .setExecutionExceptionHandler((e, command, parsed) -> handle(e));
    }

    /** The runnable jar tells its own. */
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

    /** Of picocli's messages, without the names of Java's types. */
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

    /** Anything else is a mistake in this program, and picocli prints its stack trace. */
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

    /** Its message is the name of the file, and its class says the rest. */
    private static String explain(FileSystemException e) {
        if (e instanceof NoSuchFileException) {
            return "there is no " + e.getFile();
        }
        return e instanceof AccessDeniedException
                ? "no right to " + e.getFile() + ": ask as root"
                : e.getClass().getSimpleName() + ": " + e.getFile();
    }

    private static int fail(String message) {
        Console.say(message);
        return ExitStatus.FAILURE;
    }
}
