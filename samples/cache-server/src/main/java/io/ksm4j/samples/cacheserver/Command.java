// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/** The commands: the minimum and maximum number of words of each, including its name, and which words are keys. */
enum Command {
    APPEND(3, 3, Keys.FIRST, Flag.WRITE),
    AUTH(2, 3, Keys.NONE, Flag.ANYONE),
    CLIENT(2, Command.ANY, Keys.NONE),
    COMMAND(1, Command.ANY, Keys.NONE),
    CONFIG(2, Command.ANY, Keys.NONE),
    DBSIZE(1, 1, Keys.NONE),
    DECR(2, 2, Keys.FIRST, Flag.WRITE),
    DECRBY(3, 3, Keys.FIRST, Flag.WRITE),
    DEL(2, Command.ANY, Keys.ALL, Flag.WRITE),
    DISCARD(1, 1, Keys.NONE, Flag.AT_ONCE),
    ECHO(2, 2, Keys.NONE),
    EXEC(1, 1, Keys.NONE, Flag.AT_ONCE, Flag.ALONE),
    EXISTS(2, Command.ANY, Keys.ALL),
    EXPIRE(3, Command.ANY, Keys.FIRST, Flag.WRITE),
    EXPIREAT(3, Command.ANY, Keys.FIRST, Flag.WRITE),
    EXPIRETIME(2, 2, Keys.FIRST),
    FLUSHALL(1, Command.ANY, Keys.NONE, Flag.WRITE),
    FLUSHDB(1, Command.ANY, Keys.NONE, Flag.WRITE),
    GET(2, 2, Keys.FIRST),
    GETDEL(2, 2, Keys.FIRST, Flag.WRITE),
    GETEX(2, Command.ANY, Keys.FIRST, Flag.WRITE, Flag.ALONE),
    GETRANGE(4, 4, Keys.FIRST),
    GETSET(3, 3, Keys.FIRST, Flag.WRITE),
    HELLO(1, Command.ANY, Keys.NONE, Flag.ANYONE),
    INCR(2, 2, Keys.FIRST, Flag.WRITE),
    INCRBY(3, 3, Keys.FIRST, Flag.WRITE),
    INCRBYFLOAT(3, 3, Keys.FIRST, Flag.WRITE),
    INFO(1, Command.ANY, Keys.NONE),
    KEYS(2, 2, Keys.NONE),
    MEMORY(2, Command.ANY, Keys.NONE),
    MGET(2, Command.ANY, Keys.ALL),
    MSET(3, Command.ANY, Keys.EVERY_SECOND, Flag.WRITE, Flag.ALONE),
    MSETNX(3, Command.ANY, Keys.EVERY_SECOND, Flag.WRITE, Flag.ALONE),
    MULTI(1, 1, Keys.NONE, Flag.AT_ONCE),
    OBJECT(2, Command.ANY, Keys.NONE),
    PERSIST(2, 2, Keys.FIRST, Flag.WRITE),
    PEXPIRE(3, Command.ANY, Keys.FIRST, Flag.WRITE),
    PEXPIREAT(3, Command.ANY, Keys.FIRST, Flag.WRITE),
    PEXPIRETIME(2, 2, Keys.FIRST),
    PING(1, 2, Keys.NONE),
    PSETEX(4, 4, Keys.FIRST, Flag.WRITE),
    PTTL(2, 2, Keys.FIRST),
    QUIT(1, Command.ANY, Keys.NONE, Flag.ANYONE, Flag.AT_ONCE),
    RANDOMKEY(1, 1, Keys.NONE),
    RENAME(3, 3, Keys.FIRST_TWO, Flag.WRITE, Flag.ALONE),
    RENAMENX(3, 3, Keys.FIRST_TWO, Flag.WRITE, Flag.ALONE),
    RESET(1, 1, Keys.NONE, Flag.ANYONE, Flag.AT_ONCE),
    SCAN(2, Command.ANY, Keys.NONE),
    SELECT(2, 2, Keys.NONE),
    SET(3, Command.ANY, Keys.FIRST, Flag.WRITE),
    SETEX(4, 4, Keys.FIRST, Flag.WRITE),
    SETNX(3, 3, Keys.FIRST, Flag.WRITE),
    SETRANGE(4, 4, Keys.FIRST, Flag.WRITE),
    STRLEN(2, 2, Keys.FIRST),
    SUBSTR(4, 4, Keys.FIRST),
    TIME(1, 1, Keys.NONE),
    TOUCH(2, Command.ANY, Keys.ALL),
    TTL(2, 2, Keys.FIRST),
    TYPE(2, 2, Keys.FIRST),
    UNLINK(2, Command.ANY, Keys.ALL, Flag.WRITE),
    UNWATCH(1, 1, Keys.NONE),
    WATCH(2, Command.ANY, Keys.ALL, Flag.AT_ONCE);

    private static final int ANY = Integer.MAX_VALUE;

    /** Which words after the name are keys: the first and last of them, and the step, as {@code COMMAND} reports. */
    private enum Keys {
        NONE(0, 0, 0),
        FIRST(1, 1, 1),
        FIRST_TWO(1, 2, 1),
        ALL(1, -1, 1),
        EVERY_SECOND(1, -1, 2);

        private final int first;
        private final int last;
        private final int step;

        Keys(int first, int last, int step) {
            this.first = first;
            this.last = last;
            this.step = step;
        }
    }

    private enum Flag {
        /** Changes keys. */
        WRITE,
        /** Allowed without a password. */
        ANYONE,
        /** Executed within a transaction, instead of being queued. */
        AT_ONCE,
        /** No other thread may execute a command at the same time. */
        ALONE
    }

    private static final int MAX_PACKED = Long.BYTES;

    /** By the letters of the name, one in each byte. */
    private static final Map<Long, Command> BY_SHORT_NAME = new HashMap<>();

    private static final Map<String, Command> BY_NAME = new HashMap<>();

    static {
        for (Command command : values()) {
            BY_NAME.put(command.name(), command);
            if (command.name().length() <= MAX_PACKED) {
                long packed = 0;
                for (char letter : command.name().toCharArray()) {
                    packed = packed << Byte.SIZE | letter;
                }
                BY_SHORT_NAME.put(packed, command);
            }
        }
    }

    final String lowerName = name().toLowerCase(Locale.ROOT);
    private final int min;
    private final int max;
    private final Keys keys;
    private final boolean isWrite;
    private final boolean isForAnyone;
    private final boolean isExecutedAtOnce;
    private final boolean isExecutedAlone;

    Command(int min, int max, Keys keys, Flag... flags) {
        this.min = min;
        this.max = max;
        this.keys = keys;
        List<Flag> all = Arrays.asList(flags);
        this.isWrite = all.contains(Flag.WRITE);
        this.isForAnyone = all.contains(Flag.ANYONE);
        this.isExecutedAtOnce = all.contains(Flag.AT_ONCE);
        this.isExecutedAlone = all.contains(Flag.ALONE);
    }

    /** Returns the command that a word names in upper or lower case, or null. */
    static @Nullable Command of(Request request, int word) {
        int length = request.length(word);
        if (length > MAX_PACKED) {
            return BY_NAME.get(request.upper(word));
        }
        long packed = 0;
        for (int i = 0; i < length; i++) {
            int letter = request.at(word, i);
            packed = packed << Byte.SIZE | (letter >= 'a' && letter <= 'z' ? letter - ('a' - 'A') : letter & 0xff);
        }
        Command command = BY_SHORT_NAME.get(packed);
        // Zero bytes at the beginning are not visible in the number.
        return command != null && command.name().length() == length ? command : null;
    }

    boolean takes(int words) {
        return words >= min && words <= max;
    }

    /** Returns which words are keys of a request with this number of words. */
    int[] keys(int words) {
        if (keys == Keys.NONE) {
            return new int[0];
        }
        int last = keys.last < 0 ? words + keys.last : keys.last;
        return IntStream.iterate(keys.first, i -> i <= last, i -> i + keys.step).toArray();
    }

    boolean isForAnyone() {
        return isForAnyone;
    }

    boolean isExecutedAtOnce() {
        return isExecutedAtOnce;
    }

    boolean isExecutedAlone() {
        return isExecutedAlone;
    }

    /** Adds the description that {@code COMMAND} returns. */
    void describe(Reply reply) {
        reply.array(6);
        reply.bulk(lowerName);
        // Negative if it is a minimum.
        reply.integer(min == max ? min : -min);
        reply.set(1);
        reply.status(isWrite ? "write" : keys == Keys.NONE ? "fast" : "readonly");
        reply.integer(keys.first);
        reply.integer(keys.last);
        reply.integer(keys.step);
    }
}
