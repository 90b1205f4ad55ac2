// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.util.collection.LongObjectHashMap;
import io.netty.util.collection.LongObjectMap;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** The commands, with the minimum and maximum number of words of each, including its name. */
enum Command {
    CLIENT(2, Integer.MAX_VALUE),
    COMMAND(1, Integer.MAX_VALUE),
    CONFIG(2, Integer.MAX_VALUE),
    DBSIZE(1, 1),
    DEL(2, Integer.MAX_VALUE),
    ECHO(2, 2),
    EXISTS(2, Integer.MAX_VALUE),
    EXPIRE(3, 3),
    FLUSHALL(1, 2),
    FLUSHDB(1, 2),
    GET(2, 2),
    HELLO(1, Integer.MAX_VALUE),
    INCR(2, 2),
    INFO(1, Integer.MAX_VALUE),
    MGET(2, Integer.MAX_VALUE),
    MSET(3, Integer.MAX_VALUE),
    PEXPIRE(3, 3),
    PING(1, 2),
    PTTL(2, 2),
    QUIT(1, Integer.MAX_VALUE),
    SELECT(2, 2),
    SET(3, Integer.MAX_VALUE),
    TTL(2, 2);

    private static final LongObjectMap<Command> BY_NAME = new LongObjectHashMap<>();

    static {
        for (Command command : values()) {
            long packed = 0;
            for (char letter : command.name().toCharArray()) {
                packed = packed << Byte.SIZE | letter;
            }
            BY_NAME.put(packed, command);
        }
    }

    final String lowerName = name().toLowerCase(Locale.ROOT);
    private final int min;
    private final int max;

    Command(int min, int max) {
        this.min = min;
        this.max = max;
    }

    /** Returns the command that a word names in upper or lower case, or null. Allocates nothing. */
    static @Nullable Command of(Request request, int word) {
        int length = request.length(word);
        if (length > Long.BYTES) {
            return null;
        }
        long packed = 0;
        for (int i = 0; i < length; i++) {
            int letter = request.at(word, i);
            packed = packed << Byte.SIZE | (letter >= 'a' && letter <= 'z' ? letter - ('a' - 'A') : letter & 0xff);
        }
        return BY_NAME.get(packed);
    }

    boolean takes(int words) {
        return words >= min && words <= max;
    }

    /** Returns the number of words as {@code COMMAND} reports it: negative if it is a minimum. */
    int arity() {
        return min == max ? min : -min;
    }

    /** {@return whether the words after the name contain keys: the first, all, or every second one} */
    boolean hasKeys() {
        return switch (this) {
            case DEL, EXISTS, EXPIRE, GET, INCR, MGET, MSET, PEXPIRE, PTTL, SET, TTL -> true;
            default -> false;
        };
    }
}
