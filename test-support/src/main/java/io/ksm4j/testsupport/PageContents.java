// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.testsupport;

import java.nio.ByteBuffer;
import java.security.SecureRandom;
import java.util.function.LongUnaryOperator;

/**
 * Contents of pages, each given by a number: pages with equal numbers are equal, all others differ.
 *
 * @param salt pages with another salt differ from these
 * @param pageSize bytes
 */
public record PageContents(long salt, long pageSize) {

    /** Returns contents that no other page of this machine has. */
    public static PageContents unique(long pageSize) {
        return new PageContents(new SecureRandom().nextLong(), pageSize);
    }

    /** Fills all pages of a buffer; the function maps the index of a page to its content. */
    public void fill(ByteBuffer memory, LongUnaryOperator contents) {
        for (int page = 0; page < memory.capacity() / pageSize; page++) {
            fill(memory, page, contents.applyAsLong(page));
        }
    }

    /** Fills one page of a buffer. */
    public void fill(ByteBuffer memory, int page, long content) {
        int start = Math.toIntExact(page * pageSize);
        for (int offset = 0; offset < pageSize; offset += Long.BYTES) {
            memory.putLong(start + offset, word(content, offset));
        }
    }

    /** Fails at the first word that is not as {@link #fill(ByteBuffer, LongUnaryOperator)} has written it. */
    public void verify(ByteBuffer memory, LongUnaryOperator contents) {
        for (int page = 0; page < memory.capacity() / pageSize; page++) {
            verify(memory, page, contents.applyAsLong(page));
        }
    }

    /** Fails at the first word of one page that is not as written. */
    public void verify(ByteBuffer memory, int page, long content) {
        int start = Math.toIntExact(page * pageSize);
        for (int offset = 0; offset < pageSize; offset += Long.BYTES) {
            if (memory.getLong(start + offset) != word(content, offset)) {
                throw new AssertionError(
                        "byte " + offset + " of page " + page + " with content " + content + " is wrong");
            }
        }
    }

    private long word(long content, int offset) {
        return (salt + content + 1) * 0x9e3779b97f4a7c15L + offset;
    }
}
