// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The commands about the server and the connection. */
final class ServerCommands {

    private static final String VERSION = "7.2.0";
    private static final List<String> SECTIONS = List.of("server", "clients", "memory", "stats", "keyspace", "ksm");

    private static final int MAX_NAME = 1 << 10;

    /** The longest text that is stored as part of a Redis object. */
    private static final int MAX_EMBEDDED = 44;

    /** What {@code CONFIG RESETSTAT} sets back to zero. */
    private record Counters(
            long connections, long commands, long hits, long misses, long evictedKeys, long expiredKeys) {

        Counters since(Counters before) {
            return new Counters(
                    connections - before.connections,
                    commands - before.commands,
                    hits - before.hits,
                    misses - before.misses,
                    evictedKeys - before.evictedKeys,
                    expiredKeys - before.expiredKeys);
        }
    }

    private final Store store;
    private final StringCommands strings;
    private final Sessions sessions;
    private final Supplier<Snapshot> snapshots;
    private final Map<String, String> configuration;
    private final byte @Nullable [] password;
    private volatile Counters reset = new Counters(0, 0, 0, 0, 0, 0);

    /**
     * @param configuration contains what {@code CONFIG GET} returns
     * @param password null if clients need none
     */
    ServerCommands(
            Store store,
            StringCommands strings,
            Sessions sessions,
            Supplier<Snapshot> snapshots,
            Map<String, String> configuration,
            byte @Nullable [] password) {
        this.store = store;
        this.strings = strings;
        this.sessions = sessions;
        this.snapshots = snapshots;
        this.configuration = configuration;
        this.password = password;
    }

    boolean requiresPassword() {
        return password != null;
    }

    void select(Request words, Session session, Reply reply) {
        long tenant = words.number(1);
        if (tenant < 0 || tenant >= store.tenants()) {
            throw new ReplyException("ERR DB index is out of range");
        }
        session.tenant = (int) tenant;
        reply.ok();
    }

    void ping(Request words, Reply reply) {
        if (words.size() == 1) {
            reply.pong();
        } else {
            reply.bulk(words.value(1));
        }
    }

    void authenticate(Request words, Session session, Reply reply) {
        if (password == null && words.size() == 2) {
            throw new ReplyException("ERR AUTH <password> called without any password configured for the default user."
                    + " Are you sure your configuration is correct?");
        }
        String user = words.size() == 2 ? "default" : words.text(1, Request.MAX_REPEATED);
        authenticate(user, words, words.size() - 1, session);
        reply.ok();
    }

    private void authenticate(String user, Request words, int word, Session session) {
        boolean isRight =
                user.equals("default") && (password == null || MessageDigest.isEqual(password, words.bytes(word, 0)));
        if (!isRight) {
            throw new ReplyException("WRONGPASS invalid username-password pair or user is disabled.");
        }
        session.isAuthenticated = true;
    }

    void hello(Request words, Session session, Reply reply) {
        long version = session.isResp3 ? 3 : 2;
        if (words.size() > 1) {
            try {
                version = words.number(1);
            } catch (ReplyException e) {
                throw new ReplyException("ERR Protocol version is not an integer or out of range");
            }
            if (version < 2 || version > 3) {
                throw new ReplyException("NOPROTO unsupported protocol version");
            }
        }
        String name = null;
        for (int i = 2; i < words.size(); i++) {
            String option = words.upper(i);
            if (option.equals("AUTH") && i + 2 < words.size()) {
                authenticate(words.text(i + 1, Request.MAX_REPEATED), words, i + 2, session);
                i += 2;
            } else if (option.equals("SETNAME") && i + 1 < words.size()) {
                i++;
                name = name(words, i);
            } else {
                throw new ReplyException(
                        "ERR Syntax error in HELLO option '" + words.text(i, Request.MAX_REPEATED) + "'");
            }
        }
        if (!session.isAuthenticated) {
            throw new ReplyException("NOAUTH HELLO must be called with the client already authenticated, otherwise the"
                    + " HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the"
                    + " RESP protocol version at the same time");
        }
        session.name = name == null ? session.name : name;
        session.isResp3 = version == 3;
        reply.setResp3(session.isResp3);
        reply.map(7);
        reply.bulk("server");
        reply.bulk("redis");
        reply.bulk("version");
        reply.bulk(VERSION);
        reply.bulk("proto");
        reply.integer(version);
        reply.bulk("id");
        reply.integer(session.id);
        reply.bulk("mode");
        reply.bulk("standalone");
        reply.bulk("role");
        reply.bulk("master");
        reply.bulk("modules");
        reply.array(0);
    }

    void reset(Session session, Reply reply) {
        session.reset(password == null);
        reply.setResp3(false);
        reply.status("RESET");
    }

    void time(Reply reply) {
        long millis = Store.now();
        reply.array(2);
        reply.bulk(Long.toString(millis / 1000));
        reply.bulk(Long.toString(millis % 1000 * 1000));
    }

    void info(Request words, Reply reply) {
        List<String> asked = words.lower(1);
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
        reply.verbatim(text.toString());
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
            case "clients" -> List.of("connected_clients:" + now.connectedClients(), "blocked_clients:0");
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
            case "stats" -> {
                Counters counted = counters(now).since(reset);
                yield List.of(
                        "total_connections_received:" + counted.connections(),
                        "total_commands_processed:" + counted.commands(),
                        "keyspace_hits:" + counted.hits(),
                        "keyspace_misses:" + counted.misses(),
                        "evicted_keys:" + counted.evictedKeys(),
                        "expired_keys:" + counted.expiredKeys());
            }
            case "keyspace" ->
                now.tenants().stream()
                        .map(tenant -> "db" + tenant.index() + ":keys=" + tenant.keys() + ",value_bytes="
                                + tenant.valueBytes())
                        .toList();
            default -> ksm(now.merging(), now.ksmd());
        };
    }

    private Counters counters(Snapshot now) {
        return new Counters(
                sessions.opened(), now.commands(), now.hits(), now.misses(), now.evictedKeys(), now.expiredKeys());
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

    void describe(Request words, Reply reply) {
        Command[] all = Command.values();
        switch (words.size() == 1 ? "" : words.upper(1)) {
            case "" -> {
                reply.array(all.length);
                Stream.of(all).forEach(command -> command.describe(reply));
            }
            case "INFO" -> {
                reply.array(words.size() == 2 ? all.length : words.size() - 2);
                if (words.size() == 2) {
                    Stream.of(all).forEach(command -> command.describe(reply));
                }
                for (int i = 2; i < words.size(); i++) {
                    Command command = Command.of(words, i);
                    if (command == null) {
                        reply.nil();
                    } else {
                        command.describe(reply);
                    }
                }
            }
            case "LIST" -> {
                List<String> names = Stream.of(all)
                        .map(command -> command.lowerName)
                        .filter(listed(words))
                        .toList();
                reply.array(names.size());
                names.forEach(reply::bulk);
            }
            case "COUNT" -> {
                require(words.size() == 2, Command.COMMAND, words);
                reply.integer(all.length);
            }
            case "GETKEYS" -> {
                require(words.size() >= 4, Command.COMMAND, words);
                keys(words, reply);
            }
            case "DOCS" -> reply.map(0);
            default -> throw ReplyException.unknownSubcommand(Command.COMMAND, words);
        }
    }

    /** Returns which commands {@code COMMAND LIST} includes. None of them is of a module or in an ACL category. */
    private static Predicate<String> listed(Request words) {
        if (words.size() == 2) {
            return name -> true;
        }
        if (words.size() != 5 || !words.upper(2).equals("FILTERBY")) {
            throw new ReplyException(ReplyException.SYNTAX_ERROR);
        }
        return switch (words.upper(3)) {
            case "PATTERN" -> new Glob(words.lower(4).get(0))::matches;
            case "MODULE", "ACLCAT" -> name -> false;
            default -> throw new ReplyException(ReplyException.SYNTAX_ERROR);
        };
    }

    /** COMMAND GETKEYS: replies with those words from the third on that are keys. */
    private static void keys(Request words, Reply reply) {
        Command command = Command.of(words, 2);
        if (command == null) {
            throw new ReplyException("ERR Invalid command specified");
        }
        int size = words.size() - 2;
        int[] keys = command.keys(size);
        if (keys.length == 0) {
            throw new ReplyException("ERR The command has no key arguments");
        }
        if (!command.takes(size)) {
            throw new ReplyException("ERR Invalid number of arguments specified for command");
        }
        reply.array(keys.length);
        for (int key : keys) {
            reply.bulk(words.value(key + 2));
        }
    }

    /** Replies with the error of Redis if a subcommand has a wrong number of words. */
    private static void require(boolean hasItsWords, Command command, Request words) {
        if (!hasItsWords) {
            throw ReplyException.wrongNumberOfArguments(
                    command.lowerName + "|" + words.upper(1).toLowerCase(Locale.ROOT));
        }
    }

    void configuration(Request words, Reply reply) {
        switch (words.upper(1)) {
            case "GET" -> {
                require(words.size() >= 3, Command.CONFIG, words);
                List<Glob> globs = words.lower(2).stream().map(Glob::new).toList();
                List<String> names = configuration.keySet().stream()
                        .filter(name -> globs.stream().anyMatch(glob -> glob.matches(name)))
                        .toList();
                reply.map(names.size());
                for (String name : names) {
                    reply.bulk(name);
                    reply.bulk(configuration.getOrDefault(name, ""));
                }
            }
            case "SET" -> {
                require(words.size() >= 4 && words.size() % 2 == 0, Command.CONFIG, words);
                String name = words.lower(2).get(0);
                throw new ReplyException(
                        configuration.containsKey(name)
                                ? "ERR CONFIG SET failed (possibly related to argument '" + name
                                        + "') - can't set immutable config"
                                : "ERR Unknown option or number of arguments for CONFIG SET - '"
                                        + words.text(2, Request.MAX_REPEATED) + "'");
            }
            case "RESETSTAT" -> {
                require(words.size() == 2, Command.CONFIG, words);
                reset = counters(snapshots.get());
                reply.ok();
            }
            case "REWRITE" -> {
                require(words.size() == 2, Command.CONFIG, words);
                throw new ReplyException("ERR The server is running without a config file");
            }
            default -> throw ReplyException.unknownSubcommand(Command.CONFIG, words);
        }
    }

    void client(Request words, Session session, Reply reply) {
        String what = words.upper(1);
        switch (what) {
            case "ID", "GETNAME", "INFO", "GETREDIR" -> require(words.size() == 2, Command.CLIENT, words);
            case "SETNAME", "NO-EVICT", "NO-TOUCH" -> require(words.size() == 3, Command.CLIENT, words);
            case "SETINFO" -> require(words.size() == 4, Command.CLIENT, words);
            case "LIST" -> {}
            default -> throw ReplyException.unknownSubcommand(Command.CLIENT, words);
        }
        switch (what) {
            case "ID" -> reply.integer(session.id);
            case "GETNAME" -> {
                if (session.name.isEmpty()) {
                    reply.nil();
                } else {
                    reply.bulk(session.name);
                }
            }
            case "SETNAME" -> {
                session.name = name(words, 2);
                reply.ok();
            }
            case "INFO" -> reply.verbatim(session.describe());
            case "LIST" ->
                reply.verbatim(sessions.all().stream()
                        .filter(listedClients(words))
                        .map(Session::describe)
                        .collect(Collectors.joining()));
            case "GETREDIR" -> reply.integer(-1);
            case "SETINFO" -> reply.ok();
            default -> {
                if (!List.of("ON", "OFF").contains(words.upper(2))) {
                    throw new ReplyException(ReplyException.SYNTAX_ERROR);
                }
                reply.ok();
            }
        }
    }

    /** Returns which clients {@code CLIENT LIST} includes. All are of the type "normal". */
    private static Predicate<Session> listedClients(Request words) {
        if (words.size() == 2) {
            return session -> true;
        }
        String option = words.upper(2);
        if (option.equals("TYPE") && words.size() == 4) {
            String type = words.upper(3);
            if (!List.of("NORMAL", "MASTER", "REPLICA", "SLAVE", "PUBSUB").contains(type)) {
                throw new ReplyException("ERR Unknown client type '" + words.text(3, Request.MAX_REPEATED) + "'");
            }
            return session -> type.equals("NORMAL");
        }
        if (!option.equals("ID") || words.size() == 3) {
            throw new ReplyException(ReplyException.SYNTAX_ERROR);
        }
        Set<Long> ids = new HashSet<>();
        for (int i = 3; i < words.size(); i++) {
            try {
                ids.add(words.number(i));
            } catch (ReplyException e) {
                throw new ReplyException("ERR Invalid client ID");
            }
        }
        return session -> ids.contains(session.id);
    }

    private static String name(Request words, int word) {
        if (words.length(word) > MAX_NAME) {
            throw new ReplyException("ERR Client names cannot be longer than " + MAX_NAME + " bytes");
        }
        String name = words.text(word);
        if (!name.chars().allMatch(letter -> letter > ' ' && letter <= '~')) {
            throw new ReplyException("ERR Client names cannot contain spaces, newlines or special characters.");
        }
        return name;
    }

    void object(Request words, Session session, Reply reply) {
        String what = words.upper(1);
        if (!List.of("ENCODING", "FREQ", "IDLETIME", "REFCOUNT").contains(what)) {
            throw ReplyException.unknownSubcommand(Command.OBJECT, words);
        }
        require(words.size() == 3, Command.OBJECT, words);
        Key key = words.key(2, session.tenant);
        Integer length = strings.length(key);
        if (length == null) {
            reply.nil();
            return;
        }
        switch (what) {
            case "ENCODING" -> reply.bulk(store.isNumber(key) ? "int" : length <= MAX_EMBEDDED ? "embstr" : "raw");
            case "REFCOUNT" -> reply.integer(1);
            case "FREQ" -> reply.integer(0);
            default ->
                throw new ReplyException("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note"
                        + " that when switching between policies at runtime LRU and LFU data will take some time to"
                        + " adjust.");
        }
    }

    void memory(Request words, Session session, Reply reply) {
        switch (words.upper(1)) {
            case "DOCTOR" -> {
                require(words.size() == 2, Command.MEMORY, words);
                reply.verbatim("Run ksm doctor on this machine.");
            }
            case "USAGE" -> {
                require(words.size() >= 3, Command.MEMORY, words);
                memoryUsage(words, session, reply);
            }
            default -> throw ReplyException.unknownSubcommand(Command.MEMORY, words);
        }
    }

    private void memoryUsage(Request words, Session session, Reply reply) {
        boolean hasSamples = words.size() == 5 && words.upper(3).equals("SAMPLES");
        if ((words.size() > 3 && !hasSamples) || (hasSamples && words.number(4) < 0)) {
            throw new ReplyException(ReplyException.SYNTAX_ERROR);
        }
        Long bytes = store.memory(words.key(2, session.tenant));
        if (bytes == null) {
            reply.nil();
        } else {
            reply.integer(bytes);
        }
    }
}
