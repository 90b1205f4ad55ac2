// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import io.ksm4j.internal.Backoff;
import io.ksm4j.internal.StackRoom;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The number of merged pages of this process according to {@code /proc/self/ksm_stat} (Linux 6.1 and later). It is an
 * upper bound: unmerged pages are counted until {@code ksmd} scans them.
 *
 * <p>This is read while regions are unmarked, so it creates no garbage: the file stays open, and each read starts from
 * its beginning. Kernels before 6.6 have no line for zero pages, and never unmerge those.
 */
public final class MergedPages {

    /** The kernel does not report the number. */
    public static final long UNKNOWN = -1;

    private static final byte[] MERGING = "ksm_merging_pages ".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] ZERO = "ksm_zero_pages ".getBytes(StandardCharsets.US_ASCII);

    private final Path file;
    /** Guards the file's position and the text. */
    private final ReentrantLock reading = new ReentrantLock();

    private final byte[] text = new byte[4096];
    private @Nullable RandomAccessFile open;

    public MergedPages(Path root) {
        this.file = root.resolve("proc/self/ksm_stat");
    }

    /** Returns the number of merged pages, or {@link #UNKNOWN}. */
    public long count() {
        StackRoom.requireForChange();
        Backoff.lock(reading);
        try {
            int length = read();
            long merging = number(MERGING, length);
            return merging == UNKNOWN ? UNKNOWN : merging + Math.max(0, number(ZERO, length));
        } finally {
            reading.unlock();
        }
    }

    /**
     * Returns the number of pages merged with the zero page, which {@code smaps} does not show, or {@link #UNKNOWN}.
     */
    public long zeroPages() {
        StackRoom.requireForChange();
        Backoff.lock(reading);
        try {
            return number(ZERO, read());
        } finally {
            reading.unlock();
        }
    }

    /** Returns the number of bytes read; 0 if the file does not exist. */
    private int read() {
        try {
            if (open == null) {
                open = new RandomAccessFile(file.toFile(), "r");
            }
            open.seek(0);
            return Math.max(0, open.read(text));
        } catch (IOException e) {
            return 0;
        }
    }

    /** Returns the number after a name at the start of a complete line; {@link #UNKNOWN} if there is none that fits. */
    private long number(byte[] name, int length) {
        int line = 0;
        while (line < length) {
            int end = line;
            while (end < length && text[end] != '\n') {
                end++;
            }
            if (end < length && startsWith(name, line, end)) {
                return digits(line + name.length, end);
            }
            line = end + 1;
        }
        return UNKNOWN;
    }

    private boolean startsWith(byte[] name, int from, int to) {
        if (to - from < name.length) {
            return false;
        }
        for (int i = 0; i < name.length; i++) {
            if (text[from + i] != name[i]) {
                return false;
            }
        }
        return true;
    }

    private long digits(int from, int to) {
        long number = 0;
        for (int i = from; i < to; i++) {
            int digit = text[i] - '0';
            // No machine has 2^50 pages; such a counter has wrapped around.
            if (digit < 0 || digit > 9 || number >= 1L << 50) {
                return UNKNOWN;
            }
            number = number * 10 + digit;
        }
        return from == to ? UNKNOWN : number;
    }
}
