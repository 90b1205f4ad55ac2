package io.ksm4j.it;

import io.ksm4j.MergeRegion;
import java.nio.ByteBuffer;
import java.util.function.LongUnaryOperator;

/** Pages with contents told apart by a number: equal numbers, equal pages. */
record Pages(long salt, long pageSize) {

    /** Fills a whole region; the content of each page is given by its index. */
    void fill(MergeRegion region, LongUnaryOperator contents) {
        for (int page = 0; page < region.size() / pageSize; page++) {
            fill(region, page, contents.applyAsLong(page));
        }
    }

    void fill(MergeRegion region, int page, long content) {
        fill(region.buffer(page * pageSize, (int) pageSize), content);
    }

    void fill(ByteBuffer page, long content) {
        for (int at = 0; at < pageSize; at += Long.BYTES) {
            page.putLong(at, word(content, at));
        }
    }

    void verify(MergeRegion region, LongUnaryOperator contents) {
        for (int page = 0; page < region.size() / pageSize; page++) {
            verify(region.buffer(page * pageSize, (int) pageSize), contents.applyAsLong(page));
        }
    }

    void verify(ByteBuffer page, long content) {
        for (int at = 0; at < pageSize; at += Long.BYTES) {
            if (page.getLong(at) != word(content, at)) {
                throw new AssertionError("byte " + at + " of a page with content " + content + " has changed");
            }
        }
    }

    private long word(long content, int at) {
        return (salt + content + 1) * 0x9e3779b97f4a7c15L + at;
    }
}
