package io.ksm4j.agent.inside;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What the agent is told to do.
 *
 * @param merge whether to opt the JVM in
 * @param report when to report; empty if nothing was said of it
 * @param file where the reports are appended to; empty for standard error
 * @param backend the binding to use; empty for the one that suits the JVM
 */
record AgentOptions(Merge merge, Optional<Reporting> report, Optional<String> file, Optional<String> backend) {

    static final String HELP =
            "the options are merge=on|off|keep, report=exit|SECONDS|off, file=PATH, backend=ffm|jna, fail=true|false";

    private static final long MOST_SECONDS = Duration.ofDays(365).toSeconds();

    enum Merge {
        ON,
        OFF,
        KEEP
    }

    /**
     * When to report.
     *
     * @param period how often; zero for never
     * @param atExit whether to do so when the program ends
     */
    record Reporting(Duration period, boolean atExit) {}

    /**
     * Reads them.
     *
     * @param text {@code key=value,…}, where a key comes once at most; may be empty
     * @throws IllegalArgumentException if it is anything else; the message has one line
     */
    static AgentOptions parse(String text) {
        Map<String, String> values = new LinkedHashMap<>();
        for (String option : text.isEmpty() ? new String[0] : text.split(",", -1)) {
            int equals = option.indexOf('=');
            if (equals < 0) {
                throw garbage(option, "is no key=value");
            }
            String value = option.substring(equals + 1);
            if (value.isEmpty()) {
                throw garbage(option, "has no value");
            }
            if (values.put(option.substring(0, equals), value) != null) {
                throw garbage(option, "comes twice");
            }
        }
        Merge merge = merge(values.remove("merge"));
        Optional<Reporting> report =
                Optional.ofNullable(values.remove("report")).map(AgentOptions::reporting);
        Optional<String> file = Optional.ofNullable(values.remove("file"));
        if (file.isPresent() && report.isEmpty()) {
            throw garbage("file=" + file.get(), "says where to report, and nothing says when");
        }
        Optional<String> backend = Optional.ofNullable(values.remove("backend"));
        backend.filter(name -> !name.equals("ffm") && !name.equals("jna")).ifPresent(name -> {
            throw garbage("backend=" + name, "is no backend of the agent");
        });
        // Whether to end the program is the caller's business.
        String fail = values.getOrDefault("fail", "false");
        if (!fail.equals("true") && !fail.equals("false")) {
            throw garbage("fail=" + fail, "is neither true nor false");
        }
        values.remove("fail");
        values.forEach((key, value) -> {
            throw garbage(key + "=" + value, "is unknown");
        });
        return new AgentOptions(merge, report, file, backend);
    }

    private static Merge merge(String value) {
        return switch (value == null ? "on" : value) {
            case "on" -> Merge.ON;
            case "off" -> Merge.OFF;
            case "keep" -> Merge.KEEP;
            default -> throw garbage("merge=" + value, "is none of on, off, keep");
        };
    }

    private static Reporting reporting(String value) {
        if (value.equals("exit")) {
            return new Reporting(Duration.ZERO, true);
        }
        if (value.equals("off")) {
            return new Reporting(Duration.ZERO, false);
        }
        // More digits than fit are more than a year.
        if (!value.matches("[0-9]{1,9}") || Long.parseLong(value) < 1 || Long.parseLong(value) > MOST_SECONDS) {
            throw garbage("report=" + value, "is neither exit, nor off, nor seconds from 1 to " + MOST_SECONDS);
        }
        return new Reporting(Duration.ofSeconds(Long.parseLong(value)), false);
    }

    private static IllegalArgumentException garbage(String option, String problem) {
        return new IllegalArgumentException(
                "option \"" + option.replaceAll("\\p{Cntrl}", "?") + "\" " + problem + ": " + HELP);
    }
}
