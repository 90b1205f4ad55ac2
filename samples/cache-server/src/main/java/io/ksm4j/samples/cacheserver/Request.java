// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * The words of a request. They stay in the read buffer, so a request is valid only while it is executed. Each
 * connection has one, which is filled again for each request.
 */
final class Request {

    /** The maximum number of bytes of a word that is repeated in an error message. */
    static final int MAX_REPEATED = 128;

    private static final int INITIAL_WORDS = 8;

    /** Longer arrays are not kept for the next request. */
    private static final int MAX_KEPT_WORDS = 1 << 10;

    private ByteBuffer buffer;
    private ByteBuffer value;
    private int base;
    private int size;
    private int[] offsets = new int[INITIAL_WORDS];
    private int[] lengths = new int[INITIAL_WORDS];

    Request(ByteBuffer buffer) {
        this.buffer = buffer;
        this.value = buffer;
    }

    /** Adds a word. The offset is relative to the beginning of the request. */
    void add(int offset, int length) {
        if (size == offsets.length) {
            offsets = Arrays.copyOf(offsets, 2 * size);
            lengths = Arrays.copyOf(lengths, 2 * size);
        }
        offsets[size] = offset;
        lengths[size] = length;
        size++;
    }

    /** Sets the buffer that contains this request and the next ones. */
    void setBuffer(ByteBuffer buffer) {
        this.buffer = buffer;
        this.value = buffer.duplicate();
    }

    /** Sets where in the buffer the request begins. */
    void beginAt(int position) {
        base = position;
    }

    /** Returns a copy that stays valid. */
    Request copy() {
        ByteBuffer all = ByteBuffer.allocate(wordBytes());
        Request copy = new Request(all);
        for (int i = 0; i < size; i++) {
            copy.add(all.position(), lengths[i]);
            all.put(value(i));
        }
        copy.setBuffer(all.flip());
        return copy;
    }

    /** {@return the heap memory of a copy, approximately} */
    int copiedBytes() {
        return 2 * Integer.BYTES * size + wordBytes();
    }

    private int wordBytes() {
        int bytes = 0;
        for (int i = 0; i < size; i++) {
            bytes += lengths[i];
        }
        return bytes;
    }

    void clear() {
        size = 0;
        if (offsets.length > MAX_KEPT_WORDS) {
            offsets = new int[INITIAL_WORDS];
            lengths = new int[INITIAL_WORDS];
        }
    }

    /** {@return the number of words} */
    int size() {
        return size;
    }

    /** {@return the heap memory of the words in addition to their bytes} */
    long heapBytes() {
        return 2L * Integer.BYTES * offsets.length;
    }

    int length(int word) {
        return lengths[word];
    }

    byte at(int word, int index) {
        return buffer.get(base + offsets[word] + index);
    }

    /** Returns a word. The result is valid until the next call. */
    ByteBuffer value(int word) {
        int start = base + offsets[word];
        return value.clear().position(start).limit(start + lengths[word]);
    }

    /** Returns the bytes of a word from an index on. */
    byte[] bytes(int word, int from) {
        byte[] bytes = new byte[lengths[word] - from];
        buffer.get(base + offsets[word] + from, bytes);
        return bytes;
    }

    /** Returns eight bytes of a word from an index on; zeros follow its end. */
    long packed(int word, int from) {
        int count = Math.min(Long.BYTES, lengths[word] - from);
        if (count <= 0) {
            return 0;
        }
        int position = base + offsets[word] + from;
        if (position + Long.BYTES <= buffer.limit()) {
            return buffer.getLong(position) >>> (Long.SIZE - count * Byte.SIZE) << (Long.SIZE - count * Byte.SIZE);
        }
        long packed = 0;
        for (int i = 0; i < count; i++) {
            packed |= (buffer.get(position + i) & 0xffL) << (Long.SIZE - Byte.SIZE * (i + 1));
        }
        return packed;
    }

    /** Returns at most this many bytes of a word as ISO-8859-1. */
    String text(int word, int max) {
        byte[] bytes = new byte[Math.min(lengths[word], max)];
        buffer.get(base + offsets[word], bytes);
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    String text(int word) {
        return text(word, Integer.MAX_VALUE);
    }

    /**
     * Returns a number.
     *
     * @throws ReplyException if the word is none
     */
    long number(int word) {
        try {
            return RedisInteger.parse(text(word, MAX_REPEATED));
        } catch (NumberFormatException e) {
            throw new ReplyException(ReplyException.NOT_AN_INTEGER);
        }
    }

    /** Returns the words from one on in lower case. */
    List<String> lower(int first) {
        return IntStream.range(first, size)
                .mapToObj(i -> upper(i).toLowerCase(Locale.ROOT))
                .toList();
    }

    /**
     * Returns the key of a tenant that a word names.
     *
     * @throws ReplyException if the name is too long
     */
    Key key(int word, int tenant) {
        if (lengths[word] > Key.MAX_BYTES) {
            throw new ReplyException("ERR key is longer than " + Key.MAX_BYTES + " bytes");
        }
        return new Key(tenant, this, word);
    }

    /** Returns a word in upper case; only its beginning if it is too long for an option. */
    String upper(int word) {
        return text(word, RequestParser.MAX_LINE_BYTES).toUpperCase(Locale.ROOT);
    }
}
