// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.linux;

import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * Iterates over the mappings in {@code /proc/PID/smaps} (proc_pid_smaps(5)). It reads into fields, so that a pass
 * creates no garbage except this object, regardless of the number of mappings. Not thread-safe.
 */
public final class Smaps implements AutoCloseable {

    private static final byte[] RSS = ascii("Rss");
    private static final byte[] PSS = ascii("Pss");
    private static final byte[] KSM = ascii("KSM");
    private static final byte[] ANONYMOUS = ascii("Anonymous");
    private static final byte[] ANON_HUGE_PAGES = ascii("AnonHugePages");
    private static final byte[] VM_FLAGS = ascii("VmFlags");

    private static final int END = -1;
    private static final long MAX_KILOBYTES = Long.MAX_VALUE >> 10;

    private final InputStream file;
    private final byte[] buffer = new byte[8192];
    private int position;
    private int limit;

    private final byte[] key = new byte[16];
    private int keyLength;

    private boolean headerRead;
    private long nextStart;
    private long nextEnd;
    private boolean nextAccessible;
    private boolean nextReadWrite;
    private boolean nextPrivateAnonymous;

    /**
     * The end of the previous mapping. The kernel lets other threads change mappings between two reads of the file: a
     * mapping that has grown downwards in the meantime is printed as a whole, including what was already printed. Then
     * this is greater than {@link #start}.
     */
    public long previousEnd;
    /** The first address of the mapping; negative for the vsyscall page, the only line for the kernel's half. */
    public long start;
    /** The first address after the mapping. */
    public long end;
    /** Whether the memory can be read, written or executed. */
    public boolean accessible;
    /** Whether the memory can be read and written, but not executed. */
    public boolean readWrite;
    /** Whether the mapping is private, has no file, and no name such as {@code [heap]}. */
    public boolean privateAnonymous;
    /** The resident bytes. */
    public long rss;
    /** The resident bytes, with each page divided by the number of mappings that share it. */
    public long pss;
    /** The size of merged pages in bytes; -1 on kernels that do not report it. */
    public long ksm;
    /** The resident bytes that are not backed by a file. */
    public long anonymous;
    /** The resident bytes in huge pages. */
    public long huge;
    /** Whether {@code ksmd} may merge the pages: flag {@code mg}. */
    public boolean mergeable;
    /** Whether the mapping may not have huge pages: flag {@code nh}, which Linux 6.7 and later set for stacks. */
    public boolean noHugePages;
    /** The last {@code madvise} about the order of reads, as the advice that would set it again. */
    public int readAdvice;

    public Smaps(Path path) throws IOException {
        file = new FileInputStream(path.toFile());
    }

    private static byte[] ascii(String name) {
        return name.getBytes(StandardCharsets.US_ASCII);
    }

    /**
     * Moves to the next mapping.
     *
     * @return false if there is none
     * @throws IOException if the file cannot be read, or is not in the format the kernel writes
     */
    public boolean next() throws IOException {
        if (!headerRead) {
            int first = read();
            if (first == END) {
                return false;
            }
            readHeader(first);
        }
        headerRead = false;
        previousEnd = end;
        start = nextStart;
        end = nextEnd;
        accessible = nextAccessible;
        readWrite = nextReadWrite;
        privateAnonymous = nextPrivateAnonymous;
        rss = -1;
        pss = -1;
        ksm = -1;
        anonymous = 0;
        huge = 0;
        mergeable = false;
        noHugePages = false;
        readAdvice = Linux.MADV_NORMAL;
        for (int first = read(); first != END; first = read()) {
            if (hexDigit(first) >= 0) {
                readHeader(first);
                break;
            }
            readField(first);
        }
        if (rss < 0 || pss < 0) {
            throw new IOException("Rss or Pss is missing for the mapping at " + Long.toHexString(start));
        }
        return true;
    }

    /**
     * Reads {@code start-end rwxp offset device inode name}. The addresses are in lower-case hexadecimal; all other
     * lines start with a capital letter.
     */
    private void readHeader(int first) throws IOException {
        nextStart = readAddress(first, '-');
        nextEnd = readAddress(readInLine(), ' ');
        boolean readable = readInLine() == 'r';
        boolean writable = readInLine() == 'w';
        boolean executable = readInLine() == 'x';
        boolean isPrivate = readInLine() == 'p';
        nextAccessible = readable || writable || executable;
        nextReadWrite = readable && writable && !executable;
        nextPrivateAnonymous = isPrivate && !hasName();
        headerRead = true;
    }

    /** Reads the rest of the line after the permissions. */
    private boolean hasName() throws IOException {
        int fields = 0;
        int last = 'p';
        for (int c = readInLine(); c != '\n'; c = readInLine()) {
            if (last == ' ' && c != ' ') {
                fields++;
            }
            last = c;
        }
        return fields > 3;
    }

    private long readAddress(int first, int terminator) throws IOException {
        long address = 0;
        int digits = 0;
        int c = first;
        for (; hexDigit(c) >= 0; c = readInLine()) {
            address = address << 4 | hexDigit(c);
            digits++;
        }
        if (c != terminator || digits == 0 || digits > 16) {
            throw malformed("expected the addresses of a mapping");
        }
        return address;
    }

    private void readField(int first) throws IOException {
        keyLength = 0;
        for (int c = first; c != ':'; c = readInLine()) {
            if (c == '\n') {
                throw malformed("found a line without a colon");
            }
            if (keyLength < key.length) {
                key[keyLength++] = (byte) c;
            }
        }
        if (isKey(RSS)) {
            rss = readBytes();
        } else if (isKey(PSS)) {
            pss = readBytes();
        } else if (isKey(KSM)) {
            ksm = readBytes();
        } else if (isKey(ANONYMOUS)) {
            anonymous = readBytes();
        } else if (isKey(ANON_HUGE_PAGES)) {
            huge = readBytes();
        } else if (isKey(VM_FLAGS)) {
            readFlags();
        } else {
            skipLine();
        }
    }

    private boolean isKey(byte[] name) {
        return Arrays.equals(key, 0, keyLength, name, 0, name.length);
    }

    /** Reads a number of kilobytes and its unit. */
    private long readBytes() throws IOException {
        int c = readInLine();
        while (c == ' ') {
            c = readInLine();
        }
        long kilobytes = 0;
        int digits = 0;
        for (; c >= '0' && c <= '9'; c = readInLine()) {
            if (kilobytes > (MAX_KILOBYTES - (c - '0')) / 10) {
                throw malformed("found a number too large for an address space");
            }
            kilobytes = kilobytes * 10 + (c - '0');
            digits++;
        }
        if (digits == 0 || c != ' ' || readInLine() != 'k' || readInLine() != 'B' || readInLine() != '\n') {
            throw malformed("expected a number of kB");
        }
        return kilobytes << 10;
    }

    /** Reads flags of two letters each, with a space before or after each one. */
    private void readFlags() throws IOException {
        int last = ' ';
        int secondLast = ' ';
        int thirdLast = ' ';
        for (int c = readInLine(); ; c = readInLine()) {
            if ((c == ' ' || c == '\n') && thirdLast == ' ') {
                if (secondLast == 'm' && last == 'g') {
                    mergeable = true;
                } else if (secondLast == 'n' && last == 'h') {
                    noHugePages = true;
                } else if (secondLast == 'r' && last == 'r') {
                    readAdvice = Linux.MADV_RANDOM;
                } else if (secondLast == 's' && last == 'r') {
                    readAdvice = Linux.MADV_SEQUENTIAL;
                }
            }
            if (c == '\n') {
                return;
            }
            thirdLast = secondLast;
            secondLast = last;
            last = c;
        }
    }

    private void skipLine() throws IOException {
        while (readInLine() != '\n') {
            // Names of files, and counters that are not used.
        }
    }

    private static int hexDigit(int c) {
        if (c >= '0' && c <= '9') {
            return c - '0';
        }
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    }

    private int readInLine() throws IOException {
        int c = read();
        if (c == END) {
            throw malformed("the last line is truncated");
        }
        return c;
    }

    private int read() throws IOException {
        if (position == limit) {
            limit = file.read(buffer);
            position = 0;
            if (limit <= 0) {
                limit = 0;
                return END;
            }
        }
        return buffer[position++] & 0xff;
    }

    private IOException malformed(String what) {
        return new IOException(what + " after the mapping at " + Long.toHexString(nextStart));
    }

    /** Whether part of this mapping was already read as part of another one. */
    public boolean isReadTwice() {
        return start < previousEnd;
    }

    @Override
    public void close() {
        try {
            file.close();
        } catch (IOException e) {
            // Closing a file that was only read cannot lose data.
        }
    }
}
