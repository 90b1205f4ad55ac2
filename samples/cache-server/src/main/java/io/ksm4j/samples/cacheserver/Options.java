package io.ksm4j.samples.cacheserver;

import java.time.Duration;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** What the command line says. */
@Command(
        name = "samples/run cache-server",
        sortOptions = false,
        usageHelpAutoWidth = true,
        description = "A cache that speaks the protocol of Redis and keeps its values in memory that merges.")
final class Options {

    /** Whether the pool's regions are marked. */
    enum Merge {
        ON,
        OFF
    }

    @Option(
            names = "--port",
            paramLabel = "PORT",
            description = "for clients; 0 for any that is free (${DEFAULT-VALUE})")
    int port = 6379;

    @Option(names = "--http-port", paramLabel = "PORT", description = "for a page that shows what it does (no page)")
    @Nullable
    Integer httpPort;

    @Option(names = "--bind", paramLabel = "ADDRESS", description = "for both ports (${DEFAULT-VALUE})")
    String bind = "127.0.0.1";

    @Option(
            names = "--max-memory",
            paramLabel = "BYTES",
            converter = Bytes.class,
            defaultValue = "1g",
            description = "for values in whole pages, before merging; with k, m or g behind it (${DEFAULT-VALUE})")
    long maxMemory;

    @Option(names = "--databases", paramLabel = "N", description = "tenants, for SELECT (${DEFAULT-VALUE})")
    int databases = 16;

    @Option(names = "--io-threads", paramLabel = "N", description = "that serve clients (${DEFAULT-VALUE})")
    int ioThreads = 1;

    @Option(names = "--merge", paramLabel = "on|off", description = "whether values merge (on)")
    Merge merge = Merge.ON;

    @Option(
            names = "--ksmd",
            paramLabel = "SHARE|off",
            converter = Share.class,
            defaultValue = "0.2",
            description = "how much of a core ksmd may take; off leaves its settings alone (${DEFAULT-VALUE})")
    double ksmdShare;

    @Option(names = "--help", usageHelp = true, description = "print this")
    boolean help;

    @Spec
    @Nullable
    CommandSpec spec;

    /** How long the rest of a request may take to come, while nothing of it comes. */
    Duration patience = Duration.ofMinutes(1);

    /**
     * Reads a command line.
     *
     * @throws ParameterException if it says something else than these options
     */
    static Options parse(String... args) {
        Options options = new Options();
        CommandLine line = new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true);
        line.parseArgs(args);
        if (options.help) {
            return options;
        }
        require(line, options.port >= 0 && options.port <= 0xffff, "--port must be 0 to 65535");
        Integer httpPort = options.httpPort;
        require(line, httpPort == null || (httpPort >= 0 && httpPort <= 0xffff), "--http-port must be 0 to 65535");
        require(line, options.maxMemory >= 1 << 20, "--max-memory must be 1m or more");
        require(line, options.databases >= 1 && options.databases <= 10_000, "--databases must be 1 to 10000");
        require(line, options.ioThreads >= 1 && options.ioThreads <= 64, "--io-threads must be 1 to 64");
        return options;
    }

    private static void require(CommandLine line, boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(line, message);
        }
    }

    static final class Bytes implements ITypeConverter<Long> {

        @Override
        public Long convert(String text) {
            String number = text.toLowerCase(java.util.Locale.ROOT);
            int unit = number.isEmpty() ? -1 : "kmg".indexOf(number.charAt(number.length() - 1));
            try {
                long count = Long.parseLong(unit < 0 ? number : number.substring(0, number.length() - 1));
                return Math.multiplyExact(count, 1L << (10 * (unit + 1)));
            } catch (NumberFormatException | ArithmeticException e) {
                throw new TypeConversionException("'" + text + "' is no number of bytes");
            }
        }
    }

    static final class Share implements ITypeConverter<Double> {

        @Override
        public Double convert(String text) {
            try {
                double share = text.equals("off") ? 0 : Double.parseDouble(text);
                if (text.equals("off") || (share > 0 && share <= 1)) {
                    return share;
                }
            } catch (NumberFormatException e) {
                // As any other that is out of range.
            }
            throw new TypeConversionException("'" + text + "' is neither off nor above 0 and at most 1");
        }
    }
}
