package io.ksm4j.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What {@code redis-benchmark} asks of a server.
 *
 * @param command GET or SET
 * @param clients that ask at the same time
 * @param pipeline requests that a client sends before it waits
 */
record CacheCase(String command, int valueBytes, int clients, int pipeline) {

    static final List<CacheCase> ALL = all();

    private static List<CacheCase> all() {
        List<CacheCase> cases = new ArrayList<>();
        for (String command : List.of("SET", "GET")) {
            for (int valueBytes : List.of(4 << 10, 64 << 10)) {
                for (int clients : List.of(1, 50)) {
                    for (int pipeline : List.of(1, 16)) {
                        cases.add(new CacheCase(command, valueBytes, clients, pipeline));
                    }
                }
            }
        }
        return List.copyOf(cases);
    }

    /** For people. */
    String label() {
        return String.format(
                Locale.ROOT,
                "%s %d KiB, %s, %s",
                command,
                valueBytes >> 10,
                clients == 1 ? "1 client" : clients + " clients",
                pipeline == 1 ? "one at a time" : pipeline + " at once");
    }

    /** As in {@code set-4k-50-clients-16-at-once}, without what is one. */
    String name() {
        return command.toLowerCase(Locale.ROOT)
                + "-" + (valueBytes >> 10) + "k"
                + (clients == 1 ? "" : "-" + clients + "-clients")
                + (pipeline == 1 ? "" : "-" + pipeline + "-at-once");
    }

    /** A database for each kind of value, and one for what is only read. */
    int database() {
        return (command.equals("GET") ? 0 : 2) + (valueBytes > 4 << 10 ? 1 : 0);
    }

    /** So many that the values take some tens of MiB. */
    int keys() {
        return valueBytes > 4 << 10 ? 1_000 : 10_000;
    }
}
