// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.KsmException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/** Executes commands and replies to them. The error messages are those of Redis. */
final class Commands {

    private static final String VERSION = "7.2.0";
    private static final String SYNTAX_ERROR = "ERR syntax error";
    private static final String NOT_AN_INTEGER = "ERR value is not an integer or out of range";
    private static final List<String> SECTIONS = List.of("server", "clients", "memory", "stats", "keyspace", "ksm");

    /** First words of lines that a browser sends if a web page makes it send a request to this port. */
    private static final Set<String> HTTP = Set.of("POST", "HOST:");

    /** The maximum number of bytes of a word that is repeated in an error message. */
    private static final int MAX_REPEATED = 128;

    private final Store store;
    private final Supplier<Snapshot> snapshots;
    private final Map<String, String> configuration;
    private final LongAdder executed = new LongAdder();

    /** The configuration contains what {@code CONFIG GET} returns. */
    Commands(Store store, Supplier<Snapshot> snapshots, Map<String, String> configuration) {
        this.store = store;
        this.snapshots = snapshots;
        this.configuration = configuration;
    }

    /** Returns the number of answered requests. */
    long executed() {
        return executed.sum();
    }

    /** Answers a request of at least one word. */
    void execute(Request words, Session session, Reply reply) {
        executed.increment();
        Command command = Command.of(words, 0);
        if (command == null) {
            if (HTTP.contains(words.upper(0))) {
                reply.error("ERR Protocol error: this is not a web server");
                session.quit = true;
            } else {
                reply.error(unknown(words));
            }
            return;
        }
        if (!command.takes(words.size())) {
            reply.error("ERR wrong number of arguments for '" + command.lowerName + "' command");
            return;
        }
        try {
            execute(command, words, session, reply);
        } catch (ReplyException e) {
            reply.error(e.getMessage());
        } catch (Store.NoRoomException e) {
            reply.error("OOM command not allowed when used memory > 'maxmemory'.");
        } catch (KsmException e) {
            reply.error("ERR " + e.getMessage());
        }
    }

    private void execute(Command command, Request words, Session session, Reply reply) {
        switch (command) {
            case GET -> get(words, 1, session, reply);
            case SET -> set(words, session, reply);
            case MGET -> {
                reply.array(words.size() - 1);
                for (int i = 1; i < words.size(); i++) {
                    get(words, i, session, reply);
                }
            }
            case MSET -> setAll(words, session, reply);
            case DEL -> reply.integer(count(words, session, store::delete));
            case EXISTS -> reply.integer(count(words, session, store::contains));
            case EXPIRE, PEXPIRE -> {
                long deadline = deadline(number(words, 2), command == Command.EXPIRE, command);
                reply.integer(store.expire(key(words, 1, session), deadline) ? 1 : 0);
            }
            case TTL, PTTL -> timeToLive(command, key(words, 1, session), reply);
            case INCR -> increment(key(words, 1, session), reply);
            case DBSIZE -> reply.integer(store.keys(session.tenant));
            case FLUSHALL, FLUSHDB -> flush(command, words, session, reply);
            case SELECT -> select(words, session, reply);
            case PING -> {
                if (words.size() == 1) {
                    reply.pong();
                } else {
                    reply.bulk(words.value(1));
                }
            }
            case ECHO -> reply.bulk(words.value(1));
            case QUIT -> {
                reply.ok();
                session.quit = true;
            }
            case INFO -> info(words, reply);
            case COMMAND -> describe(words, reply);
            case CONFIG -> configuration(words, reply);
            case CLIENT -> client(words, session, reply);
            case HELLO -> hello(words, session, reply);
        }
    }

    private static long count(Request words, Session session, Predicate<Key> predicate) {
        return IntStream.range(1, words.size())
                .filter(i -> predicate.test(key(words, i, session)))
                .count();
    }

    private static Key key(Request words, int word, Session session) {
        if (words.length(word) > Key.MAX_BYTES) {
            throw new ReplyException("ERR key is longer than " + Key.MAX_BYTES + " bytes");
        }
        return new Key(session.tenant, words, word);
    }

    private void get(Request words, int name, Session session, Reply reply) {
        // There are no keys with longer names.
        if (words.length(name) > Key.MAX_BYTES || !store.get(key(words, name, session), reply)) {
            reply.nil();
        }
    }

    private void set(Request words, Session session, Reply reply) {
        Key key = key(words, 1, session);
        if (words.size() == 3) {
            store.set(key, words.value(2), Store.NEVER);
            reply.ok();
            return;
        }
        Store.Condition condition = Store.Condition.ALWAYS;
        long deadline = Store.NEVER;
        for (int i = 3; i < words.size(); i++) {
            String option = words.upper(i);
            boolean timed = deadline != Store.NEVER;
            if (option.equals("NX") && condition != Store.Condition.PRESENT) {
                condition = Store.Condition.ABSENT;
            } else if (option.equals("XX") && condition != Store.Condition.ABSENT) {
                condition = Store.Condition.PRESENT;
            } else if (option.equals("KEEPTTL") && !timed) {
                deadline = Store.SAME;
            } else if ((option.equals("EX") || option.equals("PX")) && !timed && i + 1 < words.size()) {
                i++;
                long time = number(words, i);
                if (time <= 0) {
                    throw invalidExpireTime(Command.SET);
                }
                deadline = deadline(time, option.equals("EX"), Command.SET);
            } else {
                throw new ReplyException(SYNTAX_ERROR);
            }
        }
        if (store.set(key, words.value(2), deadline, condition)) {
            reply.ok();
        } else {
            reply.nil();
        }
    }

    private static ReplyException invalidExpireTime(Command command) {
        return new ReplyException("ERR invalid expire time in '" + command.lowerName + "' command");
    }

    private static long deadline(long time, boolean seconds, Command command) {
        try {
            return Math.addExact(Store.now(), seconds ? Math.multiplyExact(time, 1000L) : time);
        } catch (ArithmeticException e) {
            throw invalidExpireTime(command);
        }
    }

    private void setAll(Request words, Session session, Reply reply) {
        if (words.size() % 2 == 0) {
            throw new ReplyException("ERR wrong number of arguments for 'mset' command");
        }
        List<Key> keys = new ArrayList<>();
        for (int i = 1; i < words.size(); i += 2) {
            keys.add(key(words, i, session));
        }
        store.setAll(keys, i -> words.length(2 * i + 2), i -> words.value(2 * i + 2));
        reply.ok();
    }

    private void timeToLive(Command command, Key key, Reply reply) {
        Long deadline = store.deadline(key);
        if (deadline == null) {
            reply.integer(-2);
        } else if (deadline == Store.NEVER) {
            reply.integer(-1);
        } else {
            long millis = Math.max(0, deadline - Store.now());
            reply.integer(command == Command.PTTL ? millis : (millis + 500) / 1000);
        }
    }

    private void increment(Key key, Reply reply) {
        long sum;
        try {
            sum = store.increment(key);
        } catch (NumberFormatException e) {
            throw new ReplyException(NOT_AN_INTEGER);
        } catch (ArithmeticException e) {
            throw new ReplyException("ERR increment or decrement would overflow");
        }
        reply.integer(sum);
    }

    private void flush(Command command, Request words, Session session, Reply reply) {
        if (words.size() == 2 && !List.of("SYNC", "ASYNC").contains(words.upper(1))) {
            throw new ReplyException(SYNTAX_ERROR);
        }
        if (command == Command.FLUSHALL) {
            store.clear();
        } else {
            store.clear(session.tenant);
        }
        reply.ok();
    }

    private void select(Request words, Session session, Reply reply) {
        long tenant = number(words, 1);
        if (tenant < 0 || tenant >= store.tenants()) {
            throw new ReplyException("ERR DB index is out of range");
        }
        session.tenant = (int) tenant;
        reply.ok();
    }

    private void info(Request words, Reply reply) {
        List<String> asked = lower(words, 1);
        boolean all = asked.isEmpty() || asked.stream().anyMatch(List.of("all", "default", "everything")::contains);
        Snapshot now = snapshots.get();
        StringBuilder text = new StringBuilder();
        for (String section : SECTIONS) {
            if (all || asked.contains(section)) {
                text.append(text.length() == 0 ? "# " : "\r\n# ");
                text.append(Character.toUpperCase(section.charAt(0))).append(section.substring(1));
                text.append("\r\n");
                lines(section, now).forEach(line -> text.append(line).append("\r\n"));
            }
        }
        reply.bulk(text.toString());
    }

    private List<String> lines(String section, Snapshot now) {
        return switch (section) {
            case "server" ->
                List.of(
                        "redis_version:" + VERSION,
                        "server_name:ksm4j",
                        "redis_mode:standalone",
                        "process_id:" + ProcessHandle.current().pid(),
                        "tcp_port:" + configuration.get("port"),
                        "uptime_in_seconds:" + now.uptimeSeconds());
            case "clients" -> List.of("connected_clients:" + now.connectedClients());
            case "memory" ->
                List.of(
                        "used_memory:" + now.pool().usedBytes(),
                        "maxmemory:" + now.pool().capacityBytes(),
                        "maxmemory_policy:" + configuration.get("maxmemory-policy"),
                        "value_bytes:" + now.pool().valueBytes(),
                        "logical_bytes:" + now.pool().logicalBytes(),
                        "shared_bytes:" + now.pool().sharedBytes(),
                        "shared_stores:" + now.pool().sharedStores(),
                        "retained_bytes:" + now.pool().retainedBytes(),
                        "index_bytes:" + now.pool().indexBytes(),
                        "wasted_bytes:" + now.pool().wastedBytes());
            case "stats" ->
                List.of(
                        "total_commands_processed:" + now.commands(),
                        "keyspace_hits:" + now.hits(),
                        "keyspace_misses:" + now.misses(),
                        "evicted_keys:" + now.evictedKeys(),
                        "expired_keys:" + now.expiredKeys());
            case "keyspace" ->
                now.tenants().stream()
                        .map(tenant -> "db" + tenant.index() + ":keys=" + tenant.keys() + ",value_bytes="
                                + tenant.valueBytes())
                        .toList();
            default -> ksm(now.merging(), now.ksmd());
        };
    }

    private static List<String> ksm(Snapshot.Merging merging, Snapshot.Ksmd ksmd) {
        List<String> lines = new ArrayList<>(List.of(
                "requested_bytes:" + merging.requestedBytes(),
                "resident_bytes:" + merging.residentBytes(),
                "saved_bytes:" + merging.savedBytes(),
                "ksmd_running:" + (ksmd.running() ? 1 : 0)));
        ksmd.coreShare().ifPresent(share -> lines.add(String.format(Locale.ROOT, "ksmd_core_share:%.3f", share)));
        ksmd.fullScans().ifPresent(scans -> lines.add("full_scans:" + scans));
        ksmd.pagesSharing().ifPresent(pages -> lines.add("pages_sharing:" + pages));
        return lines;
    }

    private static void describe(Request words, Reply reply) {
        String what = words.size() == 1 ? "" : words.upper(1);
        switch (what) {
            case "" -> {
                reply.array(Command.values().length);
                for (Command command : Command.values()) {
                    describe(command, reply);
                }
            }
            case "INFO" -> {
                reply.array(words.size() - 2);
                for (int i = 2; i < words.size(); i++) {
                    Command command = Command.of(words, i);
                    if (command == null) {
                        reply.nil();
                    } else {
                        describe(command, reply);
                    }
                }
            }
            case "COUNT" -> reply.integer(Command.values().length);
            case "DOCS" -> reply.array(0);
            default -> throw unknownSubcommand(words);
        }
    }

    private static void describe(Command command, Reply reply) {
        reply.array(6);
        reply.bulk(command.lowerName);
        reply.integer(command.arity());
        reply.array(0);
        reply.integer(command.hasKeys() ? 1 : 0);
        boolean many = command.hasKeys() && command.arity() < 0 && command != Command.SET;
        reply.integer(many ? -1 : command.hasKeys() ? 1 : 0);
        reply.integer(command == Command.MSET ? 2 : command.hasKeys() ? 1 : 0);
    }

    private void configuration(Request words, Reply reply) {
        if (!words.upper(1).equals("GET")) {
            throw unknownSubcommand(words);
        }
        if (words.size() == 2) {
            throw new ReplyException("ERR wrong number of arguments for 'config|get' command");
        }
        List<String> asked = lower(words, 2);
        List<String> names = configuration.keySet().stream()
                .filter(name -> asked.contains("*") || asked.contains(name))
                .toList();
        reply.array(2 * names.size());
        for (String name : names) {
            reply.bulk(name);
            reply.bulk(configuration.getOrDefault(name, ""));
        }
    }

    private static void client(Request words, Session session, Reply reply) {
        String what = words.upper(1);
        switch (what + words.size()) {
            case "ID2" -> reply.integer(session.id);
            case "GETNAME2" -> {
                if (session.name.isEmpty()) {
                    reply.nil();
                } else {
                    reply.bulk(session.name);
                }
            }
            case "SETNAME3" -> {
                session.name = name(words, 2);
                reply.ok();
            }
            case "SETINFO4" -> reply.ok();
            default -> throw unknownSubcommand(words);
        }
    }

    private static String name(Request words, int word) {
        String name = words.text(word);
        if (!name.chars().allMatch(letter -> letter > ' ' && letter <= '~')) {
            throw new ReplyException("ERR Client names cannot contain spaces, newlines or special characters.");
        }
        return name;
    }

    /** Refuses RESP3; clients then continue with RESP2. */
    private static void hello(Request words, Session session, Reply reply) {
        if (words.size() > 1 && !words.text(1).equals("2")) {
            throw new ReplyException("NOPROTO unsupported protocol version");
        }
        if (words.size() == 4 && words.upper(2).equals("SETNAME")) {
            session.name = name(words, 3);
        } else if (words.size() > 2) {
            throw new ReplyException("ERR Syntax error in HELLO option '" + words.text(2, MAX_REPEATED) + "'");
        }
        reply.array(14);
        reply.bulk("server");
        reply.bulk("redis");
        reply.bulk("version");
        reply.bulk(VERSION);
        reply.bulk("proto");
        reply.integer(2);
        reply.bulk("id");
        reply.integer(session.id);
        reply.bulk("mode");
        reply.bulk("standalone");
        reply.bulk("role");
        reply.bulk("master");
        reply.bulk("modules");
        reply.array(0);
    }

    private static String unknown(Request words) {
        StringBuilder message = new StringBuilder("ERR unknown command '")
                .append(words.text(0, MAX_REPEATED))
                .append("', with args beginning with: ");
        for (int i = 1; i < words.size() && message.length() < 2 * MAX_REPEATED; i++) {
            message.append('\'').append(words.text(i, MAX_REPEATED)).append("' ");
        }
        return message.toString();
    }

    private static ReplyException unknownSubcommand(Request words) {
        return new ReplyException("ERR unknown subcommand or wrong number of arguments for '"
                + words.text(1, MAX_REPEATED) + "'. Try COMMAND.");
    }

    /** Returns the words from one on in lower case. */
    private static List<String> lower(Request words, int first) {
        return IntStream.range(first, words.size())
                .mapToObj(i -> words.upper(i).toLowerCase(Locale.ROOT))
                .toList();
    }

    private static long number(Request words, int word) {
        try {
            return RedisInteger.parse(words.text(word, MAX_REPEATED));
        } catch (NumberFormatException e) {
            throw new ReplyException(NOT_AN_INTEGER);
        }
    }

    /** Ends a command with an error reply. The command must not have sent a reply yet. */
    private static final class ReplyException extends RuntimeException {

        private static final long serialVersionUID = 1;

        ReplyException(String message) {
            super(message, null, false, false);
        }

        @Override
        public String getMessage() {
            return String.valueOf(super.getMessage());
        }
    }
}
