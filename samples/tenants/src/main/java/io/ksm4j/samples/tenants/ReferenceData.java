package io.ksm4j.samples.tenants;

import java.io.BufferedInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;

/**
 * What every tenant loads.
 *
 * @param file where it stands; empty if it is made up
 * @param seed for what is made up: equal seeds, equal data
 * @param size bytes
 */
record ReferenceData(String file, long seed, long size) {

    static final int RECORD = 1024;

    /** What is done with a record, of which the first bytes count. */
    interface Use {
        /** Returns the array that the next record may be written to. */
        byte[] of(byte[] record, int length);
    }

    void forEachRecord(Use use) throws IOException {
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
                record = use.of(record, length);
            }
        }
    }

    private InputStream open() throws IOException {
        return file.isEmpty()
                ? InputStream.nullInputStream()
                : new BufferedInputStream(Files.newInputStream(Path.of(file)));
    }
}
