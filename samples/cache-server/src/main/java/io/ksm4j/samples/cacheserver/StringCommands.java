// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.MergeBlock;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** The commands that read and write values. */
final class StringCommands {

    private static final Pattern INFINITY = Pattern.compile("(?i)[+-]?inf(inity)?");

    private final Store store;
    private final long maxValueBytes;

    StringCommands(Store store, long maxValueBytes) {
        this.store = store;
        this.maxValueBytes = maxValueBytes;
    }

    void get(Request words, int name, Session session, Reply reply) {
        // There are no keys with longer names.
        if (words.length(name) > Key.MAX_BYTES || !store.get(words.key(name, session.tenant), reply)) {
            reply.nil();
        }
    }

    /** MGET. A long reply is made in parts, as the client reads it. */
    void getAll(Request words, Session session, Reply reply) {
        int first = session.resumeAt;
        session.resumeAt = 0;
        if (first == 0) {
            reply.array(words.size() - 1);
            first = 1;
        }
        long mayWaitFrom = first > 1 ? 0 : reply.bytes() + reply.maxAtomicBytes();
        for (int i = first; i < words.size(); i++) {
            if (!session.isAtomic && reply.bytes() > mayWaitFrom && !reply.mayContinue()) {
                session.resumeAt = i;
                return;
            }
            get(words, i, session, reply);
        }
    }

    void set(Request words, Session session, Reply reply) {
        Key key = words.key(1, session.tenant);
        if (words.size() == 3) {
            store.set(key, words.value(2), Store.NEVER);
            reply.ok();
            return;
        }
        SetOptions options = SetOptions.parse(words, 3, false);
        long deadline = options.deadline(words, Command.SET);
        if (!options.get) {
            if (store.set(key, words.value(2), deadline, options.condition, null)) {
                reply.ok();
            } else {
                reply.nil();
            }
            return;
        }
        OldValue old = new OldValue(reply);
        while (!store.set(key, words.value(2), deadline, options.condition, old)) {
            // With NX there was a value. If it is gone by now, the new value can be stored after all.
            if (options.condition == Store.Condition.PRESENT || store.get(key, old)) {
                break;
            }
        }
        old.endReply();
    }

    /** Replies with the value that was replaced. */
    private static final class OldValue implements Store.Reader {

        private final Reply reply;
        private boolean replied;

        OldValue(Reply reply) {
            this.reply = reply;
        }

        @Override
        public void read(MergeBlock block) {
            reply.read(block);
            replied = true;
        }

        @Override
        public void read(long number) {
            reply.read(number);
            replied = true;
        }

        void endReply() {
            if (!replied) {
                reply.nil();
            }
        }
    }

    /** SETEX and PSETEX. */
    void setWithTime(Command command, Request words, Session session, Reply reply) {
        long time = words.number(2);
        SetOptions.TimeUnit unit = command == Command.SETEX ? SetOptions.TimeUnit.EX : SetOptions.TimeUnit.PX;
        long deadline = unit.deadline(time, command);
        store.set(words.key(1, session.tenant), words.value(3), deadline);
        reply.ok();
    }

    void setIfAbsent(Request words, Session session, Reply reply) {
        boolean done =
                store.set(words.key(1, session.tenant), words.value(2), Store.NEVER, Store.Condition.ABSENT, null);
        reply.integer(done ? 1 : 0);
    }

    void getAndSet(Request words, Session session, Reply reply) {
        OldValue old = new OldValue(reply);
        store.set(words.key(1, session.tenant), words.value(2), Store.NEVER, Store.Condition.ALWAYS, old);
        old.endReply();
    }

    void getAndDelete(Request words, Session session, Reply reply) {
        if (!store.take(words.key(1, session.tenant), reply)) {
            reply.nil();
        }
    }

    /** GETEX. */
    void getAndExpire(Request words, Session session, Reply reply) {
        SetOptions options = SetOptions.parse(words, 2, true);
        Key key = words.key(1, session.tenant);
        if (!store.contains(key)) {
            reply.nil();
            return;
        }
        long deadline = options.deadline(words, Command.GETEX);
        if (!store.get(key, reply)) {
            reply.nil();
        } else if (options.persist) {
            store.persist(key);
        } else if (deadline != Store.NEVER) {
            store.expire(key, deadline, Store.ExpireCondition.ALWAYS);
        }
    }

    /** MSET and MSETNX. */
    void setAll(Command command, Request words, Session session, Reply reply) {
        if (words.size() % 2 == 0) {
            throw ReplyException.wrongNumberOfArguments(command.lowerName);
        }
        List<Key> keys = new ArrayList<>();
        for (int i = 1; i < words.size(); i += 2) {
            keys.add(words.key(i, session.tenant));
        }
        if (command == Command.MSETNX && keys.stream().anyMatch(store::contains)) {
            reply.integer(0);
            return;
        }
        store.setAll(keys, i -> words.length(2 * i + 2), i -> words.value(2 * i + 2));
        if (command == Command.MSET) {
            reply.ok();
        } else {
            reply.integer(1);
        }
    }

    void increment(Key key, long by, Reply reply) {
        long sum;
        try {
            sum = store.increment(key, by);
        } catch (NumberFormatException e) {
            throw new ReplyException(ReplyException.NOT_AN_INTEGER);
        } catch (ArithmeticException e) {
            throw new ReplyException("ERR increment or decrement would overflow");
        }
        reply.integer(sum);
    }

    void decrementBy(Request words, Session session, Reply reply) {
        long by = words.number(2);
        if (by == Long.MIN_VALUE) {
            throw new ReplyException("ERR decrement would overflow");
        }
        increment(words.key(1, session.tenant), -by, reply);
    }

    void incrementByFloat(Request words, Session session, Reply reply) {
        Key key = words.key(1, session.tenant);
        Integer length = length(key);
        if (length != null && length > LongDouble.MAX_LENGTH) {
            throw new ReplyException("ERR value is not a valid float");
        }
        // One character more than a number may have, so that longer ones are refused.
        String increment = words.text(2, LongDouble.MAX_LENGTH + 1);
        byte[][] result = {{}};
        store.change(key, (old, isPresent) -> {
            LongDouble before = LongDouble.parse("0");
            LongDouble by;
            try {
                before = isPresent ? LongDouble.parse(new String(old, StandardCharsets.ISO_8859_1)) : before;
                by = LongDouble.parse(increment);
            } catch (NumberFormatException e) {
                throw new ReplyException(
                        INFINITY.matcher(increment).matches()
                                ? "ERR increment would produce NaN or Infinity"
                                : "ERR value is not a valid float");
            }
            result[0] = before.plus(by).toString().getBytes(StandardCharsets.US_ASCII);
            return result[0];
        });
        reply.bulk(result[0]);
    }

    void append(Request words, Session session, Reply reply) {
        Key key = words.key(1, session.tenant);
        requireSize((long) lengthOrZero(key) + words.length(2));
        byte[] more = words.bytes(2, 0);
        int[] length = {0};
        store.change(key, (old, isPresent) -> {
            requireSize((long) old.length + more.length);
            byte[] all = Arrays.copyOf(old, old.length + more.length);
            System.arraycopy(more, 0, all, old.length, more.length);
            length[0] = all.length;
            return all;
        });
        reply.integer(length[0]);
    }

    private void requireSize(long bytes) {
        if (bytes > maxValueBytes) {
            throw new ReplyException("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        }
    }

    void setRange(Request words, Session session, Reply reply) {
        long offset = words.number(2);
        if (offset < 0) {
            throw new ReplyException("ERR offset is out of range");
        }
        Key key = words.key(1, session.tenant);
        if (words.length(3) == 0) {
            reply.integer(lengthOrZero(key));
            return;
        }
        requireSize(Math.max(lengthOrZero(key), offset > maxValueBytes ? offset : offset + words.length(3)));
        byte[] part = words.bytes(3, 0);
        int[] length = {0};
        store.change(key, (old, isPresent) -> {
            byte[] all = Arrays.copyOf(old, (int) Math.max(old.length, offset + part.length));
            System.arraycopy(part, 0, all, (int) offset, part.length);
            length[0] = all.length;
            return all;
        });
        reply.integer(length[0]);
    }

    void getRange(Request words, Session session, Reply reply) {
        long start = words.number(2);
        long end = words.number(3);
        byte[][] part = {{}};
        store.get(words.key(1, session.tenant), new Store.Reader() {
            @Override
            public void read(MergeBlock block) {
                Range range = Range.of(start, end, block.size());
                part[0] = new byte[range.length];
                block.get(range.from, ByteBuffer.wrap(part[0]));
            }

            @Override
            public void read(long number) {
                byte[] digits = Long.toString(number).getBytes(StandardCharsets.US_ASCII);
                Range range = Range.of(start, end, digits.length);
                part[0] = Arrays.copyOfRange(digits, range.from, range.from + range.length);
            }
        });
        reply.bulk(part[0]);
    }

    private record Range(int from, int length) {

        /** Returns the bytes between two positions, of which negative ones count from the end. */
        static Range of(long start, long end, int size) {
            long from = Math.max(0, start < 0 ? start + size : start);
            long to = Math.min(size - 1L, Math.max(0, end < 0 ? end + size : end));
            boolean isEmpty = from > to || (start < 0 && end < 0 && start > end);
            return isEmpty ? new Range(0, 0) : new Range((int) from, (int) (to - from + 1));
        }
    }

    private int lengthOrZero(Key key) {
        Integer length = length(key);
        return length == null ? 0 : length;
    }

    /** Returns the length of a value, or null if there is none. */
    @Nullable
    Integer length(Key key) {
        Integer[] length = {null};
        store.get(key, new Store.Reader() {
            @Override
            public void read(MergeBlock block) {
                length[0] = block.size();
            }

            @Override
            public void read(long number) {
                length[0] = Long.toString(number).length();
            }
        });
        return length[0];
    }
}
