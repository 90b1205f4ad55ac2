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
 * How many pages of this process are merged, as {@code /proc/self/ksm_stat} has it (Linux 6.1 and later). At most: pages that
 * were taken apart are counted until {@code ksmd} comes by.
 *
 * <p>Asked while regions are unmarked, so it makes no garbage: the file stays open, and each read starts it anew. A kernel of
 * before 6.6 has no line for zero pages, and never takes those apart.
 */
public final class MergedPages {

    /** What the kernel doesn't tell. */
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

    /** All of them, or {@link #UNKNOWN}. */
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

    /** Those merged with the zero page, which {@code smaps} doesn't show, or {@link #UNKNOWN}. */
    public long zeroPages() {
        StackRoom.requireForChange();
        Backoff.lock(reading);
        try {
            return number(ZERO, read());
        } finally {
            reading.unlock();
        }
    }

    /** The number of bytes read; 0 if there is no such file. */
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

    /** The number behind a name at the start of a line that is complete; {@link #UNKNOWN} if there is none that fits. */
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
            // No machine has 2^50 pages; a counter that says so has wrapped.
            if (digit < 0 || digit > 9 || number >= 1L << 50) {
                return UNKNOWN;
            }
            number = number * 10 + digit;
        }
        return from == to ? UNKNOWN : number;
    }
}
