// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.samples.cacheserver.RequestParser.ProtocolException;
import java.nio.ByteBuffer;

/**
 * The words of a line, with the quotes and escapes of Redis: {@code "\n\r\t\b\a\x41"} and {@code '\''}. A word is
 * never longer than its source, so it replaces it in the buffer.
 */
final class InlineWords {

    private final ByteBuffer line;
    private final int start;
    private final int end;
    private int from;
    private int to;

    InlineWords(ByteBuffer line, int start, int end) {
        this.line = line;
        this.start = start;
        this.end = end;
        this.from = start;
    }

    void addTo(Request request) throws ProtocolException {
        while (true) {
            while (from < end && isSpace(line.get(from))) {
                from++;
            }
            if (isEnd()) {
                return;
            }
            int word = from;
            to = from;
            boolean isQuoted = false;
            while (!isQuoted && !isEnd() && " \n\r\t".indexOf(line.get(from)) < 0) {
                byte next = line.get(from++);
                isQuoted = next == '"' || next == '\'';
                if (isQuoted) {
                    copyQuoted(next);
                } else {
                    line.put(to++, next);
                }
            }
            request.add(word - start, to - word);
        }
    }

    /** As in C, a zero byte ends the line. */
    private boolean isEnd() {
        return from >= end || line.get(from) == 0;
    }

    private static boolean isSpace(byte character) {
        return character == ' ' || (character >= '\t' && character <= '\r');
    }

    /** Copies what is in quotes. A space or the end of the line must follow. */
    private void copyQuoted(byte quote) throws ProtocolException {
        while (!isEnd() && line.get(from) != quote) {
            byte next = line.get(from++);
            if (next == '\\' && !isEnd()) {
                next = quote == '"' ? escaped() : line.get(from) == '\'' ? line.get(from++) : next;
            }
            line.put(to++, next);
        }
        boolean isClosed = !isEnd();
        from++;
        if (!isClosed || (!isEnd() && !isSpace(line.get(from)))) {
            throw new ProtocolException("unbalanced quotes in request");
        }
    }

    /** Returns the character that an escape in double quotes means. */
    private byte escaped() {
        if (from + 2 < end && line.get(from) == 'x') {
            int high = Character.digit(line.get(from + 1), 16);
            int low = Character.digit(line.get(from + 2), 16);
            if (high >= 0 && low >= 0) {
                from += 3;
                return (byte) (high << 4 | low);
            }
        }
        byte letter = line.get(from++);
        return switch (letter) {
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'b' -> '\b';
            case 'a' -> 7;
            default -> letter;
        };
    }
}
