// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/** The commands that handle keys whatever their values are. */
final class KeyCommands {

    private static final int DEFAULT_SCAN_COUNT = 10;

    /** What {@code SCAN} visits at most for one reply, whatever {@code COUNT} says. */
    private static final int MAX_SCAN_COUNT = 10_000;

    private static final Pattern CURSOR = Pattern.compile("([+-]?\\d+)?");

    private final Store store;
    private final Scans scans;
    private final RandomKeys randomKeys;

    KeyCommands(Store store) {
        this.store = store;
        this.scans = new Scans(store);
        this.randomKeys = new RandomKeys(store);
    }

    /** Replies with the number of words that are keys for which something holds. */
    void count(Request words, Session session, Predicate<Key> predicate, Reply reply) {
        reply.integer(IntStream.range(1, words.size())
                .filter(i -> predicate.test(words.key(i, session.tenant)))
                .count());
    }

    /** EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT. */
    void expire(Command command, Request words, Session session, Reply reply) {
        Store.ExpireCondition condition = expireCondition(words);
        boolean inSeconds = command == Command.EXPIRE || command == Command.EXPIREAT;
        boolean isRelative = command == Command.EXPIRE || command == Command.PEXPIRE;
        long time = words.number(2);
        long deadline;
        try {
            deadline = Math.multiplyExact(time, inSeconds ? 1000L : 1);
            deadline = isRelative ? Math.addExact(deadline, Store.now()) : deadline;
        } catch (ArithmeticException e) {
            throw ReplyException.invalidExpireTime(command);
        }
        // Store.NEVER is in 292 million years.
        deadline = Math.min(deadline, Store.NEVER - 1);
        reply.integer(store.expire(words.key(1, session.tenant), deadline, condition) ? 1 : 0);
    }

    private static Store.ExpireCondition expireCondition(Request words) {
        boolean nx = false;
        boolean xx = false;
        boolean gt = false;
        boolean lt = false;
        for (int i = 3; i < words.size(); i++) {
            switch (words.upper(i)) {
                case "NX" -> nx = true;
                case "XX" -> xx = true;
                case "GT" -> gt = true;
                case "LT" -> lt = true;
                default -> throw new ReplyException("ERR Unsupported option " + words.text(i, Request.MAX_REPEATED));
            }
        }
        if (nx && (xx || gt || lt)) {
            throw new ReplyException("ERR NX and XX, GT or LT options at the same time are not compatible");
        }
        if (gt && lt) {
            throw new ReplyException("ERR GT and LT options at the same time are not compatible");
        }
        if (gt || lt) {
            return gt
                    ? Store.ExpireCondition.LATER
                    : xx ? Store.ExpireCondition.EARLIER_THAN_ONE : Store.ExpireCondition.EARLIER;
        }
        return nx ? Store.ExpireCondition.HAS_NONE : xx ? Store.ExpireCondition.HAS_ONE : Store.ExpireCondition.ALWAYS;
    }

    /** TTL, PTTL, EXPIRETIME and PEXPIRETIME. */
    void deadline(Command command, Key key, Reply reply) {
        Long deadline = store.deadline(key);
        if (deadline == null) {
            reply.integer(-2);
            return;
        }
        if (deadline == Store.NEVER) {
            reply.integer(-1);
            return;
        }
        long millis = Math.max(0, deadline - Store.now());
        switch (command) {
            case TTL -> reply.integer((millis + 500) / 1000);
            case PTTL -> reply.integer(millis);
            case EXPIRETIME -> reply.integer((deadline + 500) / 1000);
            default -> reply.integer(deadline);
        }
    }

    void type(Key key, Reply reply) {
        reply.status(store.contains(key) ? "string" : "none");
    }

    void rename(Command command, Request words, Session session, Reply reply) {
        Key from = words.key(1, session.tenant);
        Key to = words.key(2, session.tenant);
        if (!store.contains(from)) {
            throw new ReplyException("ERR no such key");
        }
        if (command == Command.RENAMENX) {
            boolean isFree = !store.contains(to);
            if (isFree) {
                store.rename(from, to);
            }
            reply.integer(isFree ? 1 : 0);
        } else {
            store.rename(from, to);
            reply.ok();
        }
    }

    void random(Session session, Reply reply) {
        Key key = store.keys(session.tenant) == 0 ? null : randomKeys.next(session.tenant);
        if (key == null) {
            reply.nil();
        } else {
            reply.bulk(key.name());
        }
    }

    void keys(Request words, Session session, Reply reply) {
        Glob glob = new Glob(words.text(1));
        List<Key> found = new ArrayList<>();
        for (Iterator<Key> keys = store.keys(); keys.hasNext(); ) {
            addIfMatching(keys.next(), session, glob, found);
        }
        reply(found, reply);
    }

    private static void addIfMatching(Key key, Session session, Glob glob, List<Key> found) {
        if (key.tenant() == session.tenant && glob.matches(new String(key.name(), StandardCharsets.ISO_8859_1))) {
            found.add(key);
        }
    }

    private static void reply(List<Key> found, Reply reply) {
        reply.array(found.size());
        found.forEach(key -> reply.bulk(key.name()));
    }

    void scan(Request words, Session session, Reply reply) {
        long cursor = cursor(words.text(1, Request.MAX_REPEATED));
        int count = DEFAULT_SCAN_COUNT;
        Glob glob = new Glob("*");
        boolean isAnyType = true;
        for (int i = 2; i < words.size(); i += 2) {
            if (i + 1 == words.size()) {
                throw new ReplyException(ReplyException.SYNTAX_ERROR);
            }
            switch (words.upper(i)) {
                case "COUNT" -> {
                    long number = words.number(i + 1);
                    if (number < 1) {
                        throw new ReplyException(ReplyException.SYNTAX_ERROR);
                    }
                    count = (int) Math.min(MAX_SCAN_COUNT, number);
                }
                case "MATCH" -> glob = new Glob(words.text(i + 1));
                case "TYPE" -> isAnyType = words.upper(i + 1).equals("STRING");
                default -> throw new ReplyException(ReplyException.SYNTAX_ERROR);
            }
        }
        Scans.Page page = scans.page(cursor, count);
        List<Key> found = new ArrayList<>();
        for (Key key : isAnyType ? page.keys() : List.<Key>of()) {
            addIfMatching(key, session, glob, found);
        }
        reply.array(2);
        reply.bulk(Long.toUnsignedString(page.next()));
        reply(found, reply);
    }

    /** Parses a cursor as C's strtoul does: negative numbers and no digits at all are allowed. */
    private static long cursor(String text) {
        if (!CURSOR.matcher(text).matches()) {
            throw new ReplyException("ERR invalid cursor");
        }
        BigInteger number = text.isEmpty() ? BigInteger.ZERO : new BigInteger(text);
        if (number.abs().bitLength() > Long.SIZE) {
            throw new ReplyException("ERR invalid cursor");
        }
        return number.longValue();
    }

    void flush(Command command, Request words, Session session, Reply reply) {
        if (words.size() > 2 || (words.size() == 2 && !List.of("SYNC", "ASYNC").contains(words.upper(1)))) {
            throw new ReplyException(ReplyException.SYNTAX_ERROR);
        }
        if (command == Command.FLUSHALL) {
            store.clear();
            scans.forget();
            randomKeys.forget();
        } else {
            store.clear(session.tenant);
        }
        reply.ok();
    }
}
