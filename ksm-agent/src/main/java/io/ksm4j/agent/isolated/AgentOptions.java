// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.agent.isolated;

import io.ksm4j.NativeMemoryOptions;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * The options of the agent.
 *
 * @param merge what to merge
 * @param min the size in bytes from which native memory is marked; empty for the default
 * @param report when to report; empty to leave it as it is
 * @param file the file to append reports to; empty for standard error
 * @param backend the backend to use; empty for the default of this Java version
 */
record AgentOptions(
        Merge merge, Optional<Long> min, Optional<Reporting> report, Optional<String> file, Optional<String> backend) {

    static final String HELP =
            "the options are merge=on|native|off|keep, min=SIZE, report=exit|SECONDS|off, file=PATH, backend=ffm|jna,"
                    + " fail=true|false";

    private static final long MAX_SECONDS = Duration.ofDays(365).toSeconds();

    enum Merge {
        /** All memory of the JVM. */
        ON,
        /** The memory of native libraries. */
        NATIVE,
        OFF,
        KEEP
    }

    /**
     * When to report.
     *
     * @param period the time between reports; zero for no periodic reports
     * @param atExit whether to report when the program exits
     */
    record Reporting(Duration period, boolean atExit) {}

    /**
     * Parses options.
     *
     * @param text {@code key=value,…}, each key at most once; may be empty
     * @throws IllegalArgumentException if the text is invalid; the message has one line
     */
    static AgentOptions parse(String text) {
        Map<String, String> values = new LinkedHashMap<>();
        for (String option : text.isEmpty() ? new String[0] : text.split(",", -1)) {
            int equals = option.indexOf('=');
            if (equals < 0) {
                throw invalid(option, "is not of the form key=value");
            }
            String value = option.substring(equals + 1);
            if (value.isEmpty()) {
                throw invalid(option, "has no value");
            }
            if (values.put(option.substring(0, equals), value) != null) {
                throw invalid(option, "is given twice");
            }
        }
        Merge merge = merge(values.remove("merge"));
        Optional<Long> min = Optional.ofNullable(values.remove("min")).map(AgentOptions::size);
        if (min.isPresent() && merge != Merge.NATIVE) {
            throw invalid("min=" + min.get(), "needs the option merge=native, too");
        }
        Optional<Reporting> report =
                Optional.ofNullable(values.remove("report")).map(AgentOptions::reporting);
        Optional<String> file = Optional.ofNullable(values.remove("file"));
        if (file.isPresent() && report.isEmpty()) {
            throw invalid("file=" + file.get(), "needs the option report, too");
        }
        Optional<String> backend = Optional.ofNullable(values.remove("backend"));
        backend.filter(name -> !name.equals("ffm") && !name.equals("jna")).ifPresent(name -> {
            throw invalid("backend=" + name, "is not a backend of the agent");
        });
        // Only validated here: the caller ends the program.
        String fail = values.getOrDefault("fail", "false");
        if (!fail.equals("true") && !fail.equals("false")) {
            throw invalid("fail=" + fail, "is neither true nor false");
        }
        values.remove("fail");
        values.forEach((key, value) -> {
            throw invalid(key + "=" + value, "is unknown");
        });
        return new AgentOptions(merge, min, report, file, backend);
    }

    private static Merge merge(String value) {
        return switch (value == null ? "on" : value) {
            case "on" -> Merge.ON;
            case "native" -> Merge.NATIVE;
            case "off" -> Merge.OFF;
            case "keep" -> Merge.KEEP;
            default -> throw invalid("merge=" + value, "is none of on, native, off, keep");
        };
    }

    /** Parses a number of bytes such as 65536, 512k or 2m. */
    private static long size(String value) {
        String digits = value.replaceAll("[kmgKMG]$", "");
        if (!digits.matches("[0-9]{1,9}")) {
            throw invalid("min=" + value, "is not a size such as 512k or 2m");
        }
        int unit = "kmg".indexOf(value.substring(digits.length()).toLowerCase(Locale.ROOT));
        long size = Long.parseLong(digits) << (digits.equals(value) ? 0 : 10 * (unit + 1));
        if (size < NativeMemoryOptions.MIN_SIZE) {
            throw invalid("min=" + value, "is less than 64k");
        }
        return size;
    }

    private static Reporting reporting(String value) {
        if (value.equals("exit")) {
            return new Reporting(Duration.ZERO, true);
        }
        if (value.equals("off")) {
            return new Reporting(Duration.ZERO, false);
        }
        // More digits would be more than a year.
        if (!value.matches("[0-9]{1,9}") || Long.parseLong(value) < 1 || Long.parseLong(value) > MAX_SECONDS) {
            throw invalid("report=" + value, "is not exit, off, or a number of seconds from 1 to " + MAX_SECONDS);
        }
        return new Reporting(Duration.ofSeconds(Long.parseLong(value)), false);
    }

    private static IllegalArgumentException invalid(String option, String problem) {
        return new IllegalArgumentException(
                "option \"" + option.replaceAll("\\p{Cntrl}", "?") + "\" " + problem + ": " + HELP);
    }
}
