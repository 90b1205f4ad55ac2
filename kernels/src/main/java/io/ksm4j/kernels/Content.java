package io.ksm4j.kernels;

import io.ksm4j.MergeRegion;
import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.function.LongUnaryOperator;

/**
 * Pages told apart by a number: equal numbers, equal pages.
 *
 * @param salt makes them equal to no pages with another one
 * @param pageSize bytes
 */
record Content(long salt, int pageSize) {

    /** Pages that are equal to no others of this machine. */
    static Content unique() {
        return salted(new SecureRandom().nextLong());
    }

    static Content salted(long salt) {
        return new Content(salt, (int) Backend.any().pageSize());
    }

    /** Fills a whole region; the content of each page is given by its index. */
    void fill(MergeRegion region, LongUnaryOperator contents) {
        fill(region.buffer(), contents);
    }

    void fill(ByteBuffer memory, LongUnaryOperator contents) {
        for (int page = 0; page < memory.capacity() / pageSize; page++) {
            fill(memory, page, contents.applyAsLong(page));
        }
    }

    void fill(ByteBuffer memory, int page, long content) {
        memory.put(page * pageSize, bytes(content));
    }

    /** Fails at the first wrong byte. */
    void verify(MergeRegion region, LongUnaryOperator contents) {
        verify(region.buffer(), contents);
    }

    void verify(ByteBuffer memory, LongUnaryOperator contents) {
        for (int page = 0; page < memory.capacity() / pageSize; page++) {
            ByteBuffer expected = ByteBuffer.wrap(bytes(contents.applyAsLong(page)));
            int wrong = memory.slice(page * pageSize, pageSize).mismatch(expected);
            if (wrong >= 0) {
                throw new AssertionError("byte " + wrong + " of page " + page + " is wrong");
            }
        }
    }

    private byte[] bytes(long content) {
        ByteBuffer page = ByteBuffer.allocate(pageSize);
        long word = (salt + content + 1) * 0x9e3779b97f4a7c15L;
        while (page.hasRemaining()) {
            page.putLong(word + page.position());
        }
        return page.array();
    }
}
