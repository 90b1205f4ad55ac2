// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.MergeDomain;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * The file of {@code --tenant-secrets}. Each line has the number of a database and a secret of at least 16 bytes in
 * hexadecimal digits. Databases with the same secret share pages. Empty lines and lines that begin with # are ignored.
 */
final class TenantSecrets {

    private static final int MIN_BYTES = 16;

    private TenantSecrets() {}

    /**
     * Reads the file.
     *
     * @throws IOException if it cannot be read, or contains anything else. The message names the line, not the secret
     */
    static Map<Integer, MergeDomain> read(Path file, int databases) throws IOException {
        Map<Integer, MergeDomain> domains = new HashMap<>();
        Map<ByteBuffer, MergeDomain> bySecret = new HashMap<>();
        List<String> lines = Files.readAllLines(file, StandardCharsets.ISO_8859_1);
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i).strip();
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            String[] words = line.split("\\s+", -1);
            int database = number(words[0]);
            byte[] secret = words.length == 2 ? bytes(words[1]) : new byte[0];
            if (database < 0 || database >= databases) {
                throw new IOException(
                        file + ", line " + (i + 1) + ": not a database of this server, 0 to " + (databases - 1));
            }
            if (secret.length < MIN_BYTES) {
                throw new IOException(
                        file + ", line " + (i + 1) + ": not a database and a secret of at least 32 hexadecimal digits");
            }
            MergeDomain domain = bySecret.computeIfAbsent(ByteBuffer.wrap(secret), s -> MergeDomain.ofSecret(secret));
            if (domains.put(database, domain) != null) {
                throw new IOException(file + ", line " + (i + 1) + ": database " + database + " has a secret already");
            }
        }
        return domains;
    }

    private static int number(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            return -1;
        }
    }

    private static byte[] bytes(String text) {
        try {
            return HexFormat.of().parseHex(text);
        } catch (IllegalArgumentException e) {
            return new byte[0];
        }
    }
}
