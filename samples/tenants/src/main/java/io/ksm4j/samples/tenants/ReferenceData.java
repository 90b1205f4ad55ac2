// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;

/**
 * The data that every tenant loads.
 *
 * @param file the file that contains it; empty for random data
 * @param seed the seed for random data
 * @param size the size in bytes
 */
record ReferenceData(String file, long seed, long size) {

    static final int RECORD = 1024;

    /** Consumes records. */
    interface RecordConsumer {
        /**
         * Takes a record.
         *
         * @param record an array whose first {@code length} bytes are the record
         * @return the array for the next record
         */
        byte[] accept(byte[] record, int length);
    }

    void forEachRecord(RecordConsumer consumer) throws IOException {
        SplittableRandom random = new SplittableRandom(seed);
        byte[] record = new byte[RECORD];
        try (InputStream input = open()) {
            int length = 0;
            for (long left = size; left > 0; left -= length) {
                length = (int) Math.min(left, RECORD);
                if (file.isEmpty()) {
                    random.nextBytes(record);
                } else if (input.readNBytes(record, 0, length) < length) {
                    throw new EOFException(file + " has become shorter");
                }
                record = consumer.accept(record, length);
            }
        }
    }

    private InputStream open() throws IOException {
        return file.isEmpty()
                ? InputStream.nullInputStream()
                : new BufferedInputStream(Files.newInputStream(Path.of(file)));
    }
}
