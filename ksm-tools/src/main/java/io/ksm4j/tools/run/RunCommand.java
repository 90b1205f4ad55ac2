// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

import io.ksm4j.Ksm;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.tools.linux.BackendSearch;
import io.ksm4j.tools.output.Console;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/**
 * {@code ksm run}: opts this process in and becomes the program. The program and all processes that it starts inherit
 * the mark.
 */
@Command(
        name = "run",
        mixinStandardHelpOptions = true,
        synopsisHeading = "Usage: ",
        description = {
            "Runs a program with all of its memory mergeable, including heap and stacks, and that of every program it"
                    + " starts.",
            "ksm becomes that program, so signals and the exit status are the program's own."
        },
        footer = "%nExits with 127 if there is no such program, with 126 if it cannot be run, and with 1 if the kernel"
                + " does not opt the process in. Needs Linux 6.10 or later: before 6.7, a program loses the mark when"
                + " it starts, and before 6.10, ksmd may overlook it, unless the distribution has fixed that.")
public final class RunCommand implements Callable<Integer> {

    /** Like {@code env} (POSIX). */
    static final int CANNOT_RUN = 126;

    static final int NOT_FOUND = 127;

    private static final Pattern VERSION = Pattern.compile("(\\d{1,4})\\.(\\d{1,4}).*");

    @Parameters(arity = "1..*", paramLabel = "COMMAND", description = "the program and its arguments")
    private List<String> command = new ArrayList<>();

    @Override
    public Integer call() throws IOException {
        KsmBackend backend = BackendSearch.find().require();
        InheritedState inherited = InheritedState.read();
        Program program = Program.ofLastArguments(command.size(), inherited);
        Ksm.with(backend).process().markMergeable();
        String kernel = System.getProperty("os.version");
        if (mayLoseTheMark(kernel)) {
            Console.say("this is Linux " + kernel
                    + ": before 6.10 a program may lose the mark when it starts, or ksmd may overlook it;"
                    + " ksm status PID shows whether it merges");
        }
        int errno = exec(backend, program, inherited);
        return switch (errno) {
            case Program.ENOENT, Program.ENOTDIR -> fail(NOT_FOUND, "there is no program " + command.get(0));
            case Program.EACCES -> fail(CANNOT_RUN, "no permission to run " + command.get(0));
            case Program.E2BIG -> fail(CANNOT_RUN, "too many arguments for " + command.get(0));
            default -> fail(CANNOT_RUN, "the kernel cannot run " + command.get(0) + ": errno " + errno);
        };
    }

    /** Removes all traces of the JVM and becomes the program. */
    private static int exec(KsmBackend backend, Program program, InheritedState inherited) throws IOException {
        inherited.restoreCoredumpFilter();
        FileDescriptors.closeOwnOnExec(backend, inherited.closed());
        deleteCounters();
        InheritedState.restoreSignalMask(backend);
        Optional<SystemCall> first = FirstThread.open(backend);
        Map<Integer, SignalAction> before = inherited.ignoreSignals(backend);
        int errno = program.exec(
                backend, first.orElse((number, arg1, arg2, arg3) -> backend.syscall(number, arg1, arg2, arg3, 0, 0)));
        before.forEach((signal, action) -> action.install(backend, signal));
        return errno;
    }

    /** Deletes the performance counters, by which jps would take the program for a JVM. */
    private static void deleteCounters() throws IOException {
        Files.deleteIfExists(Path.of(
                "/tmp",
                "hsperfdata_" + System.getProperty("user.name"),
                Long.toString(ProcessHandle.current().pid())));
    }

    /**
     * {@return whether a kernel of this version, unless it is patched, drops the mark on {@code execve} (fixed in 6.7
     * by commit 3c6f33b7273a), or whether {@code ksmd} may overlook such a program (fixed in 6.10 by commit
     * 3a9e567ca45f)}
     */
    static boolean mayLoseTheMark(String version) {
        Matcher numbers = VERSION.matcher(version);
        return numbers.matches()
                && 1000 * Integer.parseInt(numbers.group(1)) + Integer.parseInt(numbers.group(2)) < 6010;
    }

    private static int fail(int status, String message) {
        Console.say(message);
        return status;
    }
}
