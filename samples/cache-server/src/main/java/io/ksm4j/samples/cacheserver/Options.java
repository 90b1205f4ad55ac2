// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** The options of the command line. */
@Command(
        name = "samples/run cache-server",
        sortOptions = false,
        usageHelpAutoWidth = true,
        description = "A cache that implements the Redis protocol and stores its values in mergeable memory.")
final class Options {

    /** Whether the regions of the pool are marked. */
    enum Merge {
        ON,
        OFF
    }

    /** Whether the pool deduplicates. */
    enum Dedup {
        ON,
        OFF
    }

    @Option(
            names = "--port",
            paramLabel = "PORT",
            description = "port for clients; 0 for any free port (default: ${DEFAULT-VALUE})")
    int port = 6379;

    @Option(names = "--http-port", paramLabel = "PORT", description = "port for a status page (default: no page)")
    @Nullable
    Integer httpPort;

    @Option(
            names = "--bind",
            paramLabel = "ADDRESS",
            description = "address for both ports (default: ${DEFAULT-VALUE})")
    String bind = "127.0.0.1";

    @Option(
            names = "--max-memory",
            paramLabel = "BYTES",
            converter = Bytes.class,
            defaultValue = "1g",
            description =
                    "memory for keys and values, in whole pages; pages that values share count once; suffix k, m or g"
                            + " (default: ${DEFAULT-VALUE})")
    long maxMemory;

    @Option(
            names = "--databases",
            paramLabel = "N",
            description = "number of tenants for SELECT (default: ${DEFAULT-VALUE})")
    int databases = 16;

    @Option(
            names = "--io-threads",
            paramLabel = "N",
            description = "number of threads that serve clients (default: ${DEFAULT-VALUE})")
    int ioThreads = 1;

    @Option(
            names = "--max-clients",
            paramLabel = "N",
            description = "maximum number of clients (default: 10000, or as many as there are file descriptors for)")
    @Nullable
    Integer maxClients;

    @Option(names = "--merge", paramLabel = "on|off", description = "whether values may merge (default: on)")
    Merge merge = Merge.ON;

    @Option(
            names = "--dedup",
            paramLabel = "on|off",
            description = "whether values share equal pages as soon as they are stored (default: on)")
    Dedup dedup = Dedup.ON;

    @Option(
            names = "--tenant-secrets",
            paramLabel = "FILE",
            description = "lines with a database and a secret of at least 32 hexadecimal digits; databases share memory"
                    + " only with those that have the same secret (default: all databases share)")
    @Nullable
    Path tenantSecrets;

    @Option(
            names = "--password-file",
            paramLabel = "FILE",
            description = "first line: the password that clients must send with AUTH or HELLO (default: none)")
    @Nullable
    Path passwordFile;

    @Option(
            names = "--ksmd",
            paramLabel = "SHARE|off",
            converter = Share.class,
            defaultValue = "0.2",
            description =
                    "share of a core that ksmd may use; off leaves its settings unchanged (default: ${DEFAULT-VALUE})")
    double ksmdShare;

    @Option(names = "--help", usageHelp = true, description = "print this help")
    boolean help;

    @Spec
    @Nullable
    CommandSpec spec;

    /** How long a client with an incomplete request may send nothing. */
    Duration timeout = Duration.ofMinutes(1);

    /**
     * Parses a command line.
     *
     * @throws ParameterException if an option is unknown or has an invalid value
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
        require(line, options.maxMemory >= 1 << 20, "--max-memory must be at least 1m");
        require(line, options.databases >= 1 && options.databases <= Key.MAX_TENANTS, "--databases must be 1 to 10000");
        require(line, options.ioThreads >= 1 && options.ioThreads <= 64, "--io-threads must be 1 to 64");
        require(line, options.maxClients == null || options.maxClients >= 1, "--max-clients must be at least 1");
        return options;
    }

    /**
     * Returns the password, or null if clients need none.
     *
     * @throws IOException if the file cannot be read or contains no password
     */
    byte @Nullable [] password() throws IOException {
        if (passwordFile == null) {
            return null;
        }
        List<String> lines = Files.readAllLines(passwordFile, StandardCharsets.UTF_8);
        if (lines.isEmpty() || lines.get(0).isEmpty()) {
            throw new IOException(passwordFile + " contains no password");
        }
        return lines.get(0).getBytes(StandardCharsets.UTF_8);
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
                throw new TypeConversionException("'" + text + "' is not a number of bytes");
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
                // Handled like a number that is out of range.
            }
            throw new TypeConversionException("'" + text + "' is neither off nor a number above 0 and up to 1");
        }
    }
}
