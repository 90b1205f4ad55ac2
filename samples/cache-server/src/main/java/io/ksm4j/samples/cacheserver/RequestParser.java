// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * Finds the next request in what a client has sent, as Redis does: an array of bulk strings, or a line of words.
 *
 * <pre>
 *   *2\r\n $3\r\n GET\r\n $1\r\n a\r\n        GET a\r\n
 *   |      |      |
 *   words  |      the bytes of the word
 *          length of the first word
 * </pre>
 *
 * <p>Netty's decoder of this protocol makes an object of each of these parts, and reads lines of words as UTF-8, which
 * changes other bytes. This parser only notes where each word is, and goes on where it stopped if a request arrives in
 * pieces.
 */
final class RequestParser {

    /** The maximum length of a line, as in Redis. */
    static final int MAX_LINE_BYTES = 64 << 10;

    /** What a client has sent is no request. */
    static final class ProtocolException extends Exception {

        private static final long serialVersionUID = 1;

        ProtocolException(String message) {
            super(message, null, false, false);
        }

        @Override
        public String getMessage() {
            return String.valueOf(super.getMessage());
        }
    }

    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);
    private static final int NO_LENGTH = -1;
    private static final int NO_LINE = -1;

    /** The limits of Redis for clients that have not sent the password yet. */
    private static final int MAX_UNTRUSTED_WORDS = 10;

    private static final int MAX_UNTRUSTED_BYTES = 16 << 10;

    final Request request;

    private final RequestLimits limits;
    private final BooleanSupplier isTrusted;

    /** The number of words of the array; 0 between requests. */
    private int expected;

    /** The offset of the next byte to parse, from the beginning of the request. */
    private int offset;

    /** The length of the word that is arriving. */
    private int length = NO_LENGTH;

    /** The bytes of the words so far, including the announced length of the current one, and what each word costs. */
    private long announced;

    private ByteBuffer in;

    /**
     * Creates a parser.
     *
     * @param isTrusted whether the client has sent the password, if one is necessary
     */
    RequestParser(RequestLimits limits, BooleanSupplier isTrusted) {
        this.limits = limits;
        this.isTrusted = isTrusted;
        this.request = new Request(NOTHING);
        this.in = NOTHING;
    }

    /** Sets what has arrived: the bytes from the position to the limit, which begin with the current request. */
    void setInput(ByteBuffer bytes) {
        in = bytes;
        request.setBuffer(bytes);
        request.beginAt(bytes.position());
    }

    /** {@return the position of the current request in the input} */
    int position() {
        return in.position();
    }

    boolean isEmpty() {
        return !in.hasRemaining();
    }

    /**
     * Looks for the end of the next request. Empty requests are skipped.
     *
     * @return true if {@link #request} has all its words; false if more bytes are needed
     */
    boolean parse() throws ProtocolException {
        while (expected == 0) {
            if (!in.hasRemaining()) {
                return false;
            }
            boolean isArray = in.get(in.position()) == '*';
            if (isArray ? !parseArrayHeader() : !parseLine()) {
                return false;
            }
            if (request.size() > 0) {
                request.beginAt(in.position());
                return true;
            }
            if (expected == 0) {
                skip();
            }
        }
        while (request.size() < expected) {
            if (length == NO_LENGTH && !parseWordHeader()) {
                return false;
            }
            if (in.remaining() - offset - 2 < length) {
                return false;
            }
            request.add(offset, length);
            offset += length + 2;
            length = NO_LENGTH;
        }
        request.beginAt(in.position());
        return true;
    }

    /** Skips the request that was parsed. */
    void skip() {
        in.position(in.position() + offset);
        reset();
    }

    /** Forgets everything that has arrived. */
    void clear() {
        setInput(NOTHING);
        reset();
    }

    private void reset() {
        request.clear();
        expected = 0;
        offset = 0;
        length = NO_LENGTH;
        announced = 0;
    }

    /** {@return how many bytes the current request has at most; a large number if that is not known yet} */
    int needed() {
        return request.size() + 1 < expected ? Integer.MAX_VALUE : Math.max(offset, offset + length + 2);
    }

    private boolean parseArrayHeader() throws ProtocolException {
        int end = lineEnd(offset, "too big mbulk count string");
        if (end == NO_LINE) {
            return false;
        }
        long words = number(offset + 1, end, "invalid multibulk length");
        if (words > RequestLimits.MAX_WORDS) {
            throw new ProtocolException("invalid multibulk length");
        }
        if (words > MAX_UNTRUSTED_WORDS && !isTrusted.getAsBoolean()) {
            throw new ProtocolException("unauthenticated multibulk length");
        }
        expected = (int) Math.max(0, words);
        offset = end + 2;
        return true;
    }

    private boolean parseWordHeader() throws ProtocolException {
        int end = lineEnd(offset, "too big bulk count string");
        if (end == NO_LINE) {
            return false;
        }
        byte type = in.get(in.position() + offset);
        if (type != '$') {
            throw new ProtocolException("expected '$', got '" + (char) (type & 0xff) + "'");
        }
        long bytes = number(offset + 1, end, "invalid bulk length");
        announced += bytes + RequestLimits.WORD_BYTES;
        if (bytes < 0 || bytes > limits.maxWordBytes() || announced > limits.maxRequestBytes()) {
            throw new ProtocolException("invalid bulk length");
        }
        if (bytes > MAX_UNTRUSTED_BYTES && !isTrusted.getAsBoolean()) {
            throw new ProtocolException("unauthenticated bulk length");
        }
        length = (int) bytes;
        offset = end + 2;
        return true;
    }

    /** Returns the offset of the CR of a line that ends in CR and LF, or {@link #NO_LINE}. */
    private int lineEnd(int from, String problem) throws ProtocolException {
        int start = in.position() + from;
        int end = start;
        while (end < in.limit() && in.get(end) != '\r') {
            end++;
        }
        if (end == in.limit() && end - start > MAX_LINE_BYTES) {
            throw new ProtocolException(problem);
        }
        return end + 1 < in.limit() ? end - in.position() : NO_LINE;
    }

    /** Parses a number without plus sign, leading zeros or spaces. */
    private long number(int from, int to, String problem) throws ProtocolException {
        int at = in.position() + from;
        int end = in.position() + to;
        boolean isNegative = at < end && in.get(at) == '-';
        if (isNegative) {
            at++;
        }
        int digits = end - at;
        long number = 0;
        for (int i = at; i < end; i++) {
            int digit = in.get(i) - '0';
            if (digit < 0 || digit > 9 || (i == at && digit == 0 && (digits > 1 || isNegative))) {
                throw new ProtocolException(problem);
            }
            number = 10 * number + digit;
        }
        // All longer numbers are out of range.
        if (digits < 1 || digits > 18) {
            throw new ProtocolException(problem);
        }
        return isNegative ? -number : number;
    }

    private boolean parseLine() throws ProtocolException {
        int start = in.position();
        int end = start;
        while (end < in.limit() && in.get(end) != '\n') {
            end++;
        }
        if (end - start > MAX_LINE_BYTES) {
            throw new ProtocolException("too big inline request");
        }
        if (end == in.limit()) {
            return false;
        }
        offset = end + 1 - start;
        if (end > start && in.get(end - 1) == '\r') {
            end--;
        }
        new InlineWords(in, start, end).addTo(request);
        return true;
    }
}
