// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * One kind of load that {@code redis-benchmark} puts on a server.
 *
 * @param command GET or SET
 * @param clients the number of concurrent clients
 * @param pipeline the number of requests that a client sends before it waits for replies
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

    /** Returns the description in the table. */
    String label() {
        return String.format(
                Locale.ROOT,
                "%s %d KiB, %s, %s",
                command,
                valueBytes >> 10,
                clients == 1 ? "1 client" : clients + " clients",
                pipeline == 1 ? "1 request at a time" : pipeline + " requests at a time");
    }

    /** Returns the name in targets, such as {@code set-4k-50-clients-16-at-once}; numbers that are one are left out. */
    String name() {
        return command.toLowerCase(Locale.ROOT)
                + "-" + (valueBytes >> 10) + "k"
                + (clients == 1 ? "" : "-" + clients + "-clients")
                + (pipeline == 1 ? "" : "-" + pipeline + "-at-once");
    }

    /**
     * Returns the database: there is one per command and value size, so that values that are only read stay unchanged.
     */
    int database() {
        return (command.equals("GET") ? 0 : 2) + (valueBytes > 4 << 10 ? 1 : 0);
    }

    /** Returns the number of keys. It makes the values take some tens of MiB. */
    int keys() {
        return valueBytes > 4 << 10 ? 1_000 : 10_000;
    }
}
