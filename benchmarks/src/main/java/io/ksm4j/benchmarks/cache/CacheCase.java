// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * One kind of load that {@code redis-benchmark} puts on a server.
 *
 * @param command GET, SET, INCR or MSET; MSET stores ten values
 * @param clients the number of concurrent clients
 * @param pipeline the number of requests that a client sends before it waits for replies
 */
record CacheCase(String command, int valueBytes, int clients, int pipeline) {

    private static final List<Integer> VALUE_BYTES = List.of(64, 4 << 10, 64 << 10);
    private static final List<String> COMMANDS = List.of("SET", "GET", "MSET", "INCR");

    static final List<CacheCase> ALL = all();

    private static List<CacheCase> all() {
        List<CacheCase> cases = new ArrayList<>();
        for (String command : COMMANDS) {
            for (int valueBytes : command.equals("INCR") ? List.of(0) : VALUE_BYTES) {
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
        return command
                + (valueBytes == 0 ? "" : valueBytes < 1 << 10 ? " " + valueBytes + " B" : " " + kibibytes() + " KiB")
                + (clients == 1 ? ", 1 client" : ", " + clients + " clients")
                + (pipeline == 1 ? ", 1 request at a time" : ", " + pipeline + " requests at a time");
    }

    /** Returns the name in targets, such as {@code set-4k-50-clients-16-at-once}; numbers that are one are left out. */
    String name() {
        return command.toLowerCase(Locale.ROOT)
                + (valueBytes == 0 ? "" : valueBytes < 1 << 10 ? "-" + valueBytes : "-" + kibibytes() + "k")
                + (clients == 1 ? "" : "-" + clients + "-clients")
                + (pipeline == 1 ? "" : "-" + pipeline + "-at-once");
    }

    private int kibibytes() {
        return valueBytes >> 10;
    }

    /** {@return whether the keys have values before the first round} */
    boolean isFilledBefore() {
        return command.equals("SET") || command.equals("GET");
    }

    /**
     * Returns the database: there is one per command and value size, so that values that are only read stay unchanged.
     */
    int database() {
        return COMMANDS.indexOf(command) * VALUE_BYTES.size() + Math.max(0, VALUE_BYTES.indexOf(valueBytes));
    }

    /** Returns the number of keys. It makes the values take some MiB, those of 4 KiB and more some tens of MiB. */
    int keys() {
        return valueBytes > 4 << 10 ? 1_000 : valueBytes < 4 << 10 ? 100_000 : 10_000;
    }
}
