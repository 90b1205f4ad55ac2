// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Checks of arguments that commands have in common. */
public final class ArgumentChecks {

    private ArgumentChecks() {}

    /**
     * Rejects a PID that is less than 1.
     *
     * @throws ParameterException if it is
     */
    public static void requirePid(CommandSpec command, long pid) {
        require(command, pid >= 1, "invalid PID " + pid + ": must be at least 1");
    }

    /**
     * Rejects the command line unless a condition holds.
     *
     * @throws ParameterException with the message if it does not
     */
    public static void require(CommandSpec command, boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(command.commandLine(), message);
        }
    }
}
