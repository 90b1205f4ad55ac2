// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.KsmException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.Lock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;

/** Executes commands and replies to them. The error messages are those of Redis. */
final class Commands {

    /** First words of lines that a browser sends if a web page makes it send a request to this port. */
    private static final Set<String> HTTP = Set.of("POST", "HOST:");

    private final Store store;
    private final StringCommands strings;
    private final KeyCommands keys;
    private final ServerCommands server;

    /** Makes commands that handle several keys atomic; null if there is one thread only. */
    private final @Nullable ReentrantReadWriteLock lock;

    private final LongAdder executed = new LongAdder();

    Commands(Store store, StringCommands strings, KeyCommands keys, ServerCommands server, int threads) {
        this.store = store;
        this.strings = strings;
        this.keys = keys;
        this.server = server;
        this.lock = threads == 1 ? null : new ReentrantReadWriteLock();
    }

    /** Returns the number of answered requests. */
    long executed() {
        return executed.sum();
    }

    /**
     * Answers a request of at least one word. If the reply waits for the client to read, {@link Session#resumeAt} is
     * set, and this must be called again.
     */
    void execute(Request words, Session session, Reply reply) {
        if (session.resumeAt == 0) {
            executed.increment();
        }
        try {
            Command command = command(words, session);
            if (session.transaction.isOpen() && !command.isExecutedAtOnce()) {
                session.transaction.queue(words);
                reply.status("QUEUED");
                return;
            }
            executeLocked(command, words, session, reply);
        } catch (ReplyException e) {
            reply.error(e.getMessage());
        }
    }

    /** Returns the command of a request if it may be executed; otherwise aborts the transaction, if there is one. */
    private Command command(Request words, Session session) {
        Command command = Command.of(words, 0);
        String problem = null;
        if (command == null) {
            if (HTTP.contains(words.upper(0))) {
                session.quit = true;
                throw new ReplyException("ERR Protocol error: this is not a web server");
            }
            problem = unknown(words);
        } else if (!command.takes(words.size())) {
            problem = ReplyException.wrongNumberOfArguments(command.lowerName).getMessage();
        } else if (!session.isAuthenticated && !command.isForAnyone()) {
            problem = "NOAUTH Authentication required.";
        }
        if (command == null || problem != null) {
            session.transaction.abort();
            throw new ReplyException(String.valueOf(problem));
        }
        return command;
    }

    private static String unknown(Request words) {
        StringBuilder message = new StringBuilder("ERR unknown command '")
                .append(words.text(0, Request.MAX_REPEATED))
                .append("', with args beginning with: ");
        int start = message.length();
        for (int i = 1; i < words.size() && message.length() - start < Request.MAX_REPEATED; i++) {
            int left = Request.MAX_REPEATED - (message.length() - start);
            message.append('\'').append(words.text(i, left)).append("' ");
        }
        return message.toString();
    }

    private void executeLocked(Command command, Request words, Session session, Reply reply) {
        if (lock == null) {
            execute(command, words, session, reply);
            return;
        }
        Lock needed = command.isExecutedAlone() ? lock.writeLock() : lock.readLock();
        needed.lock();
        try {
            execute(command, words, session, reply);
        } finally {
            needed.unlock();
        }
    }

    private void execute(Command command, Request words, Session session, Reply reply) {
        try {
            executeChecked(command, words, session, reply);
        } catch (ReplyException e) {
            reply.error(e.getMessage());
        } catch (Store.NoRoomException e) {
            reply.error("OOM command not allowed when used memory > 'maxmemory'.");
        } catch (KsmException e) {
            reply.error("ERR " + e.getMessage());
        }
    }

    private void executeChecked(Command command, Request words, Session session, Reply reply) {
        switch (command) {
            case GET -> strings.get(words, 1, session, reply);
            case SET -> strings.set(words, session, reply);
            case MGET -> strings.getAll(words, session, reply);
            case MSET, MSETNX -> strings.setAll(command, words, session, reply);
            case SETEX, PSETEX -> strings.setWithTime(command, words, session, reply);
            case SETNX -> strings.setIfAbsent(words, session, reply);
            case GETSET -> strings.getAndSet(words, session, reply);
            case GETDEL -> strings.getAndDelete(words, session, reply);
            case GETEX -> strings.getAndExpire(words, session, reply);
            case INCR -> strings.increment(words.key(1, session.tenant), 1, reply);
            case DECR -> strings.increment(words.key(1, session.tenant), -1, reply);
            case INCRBY -> strings.increment(words.key(1, session.tenant), words.number(2), reply);
            case DECRBY -> strings.decrementBy(words, session, reply);
            case INCRBYFLOAT -> strings.incrementByFloat(words, session, reply);
            case APPEND -> strings.append(words, session, reply);
            case SETRANGE -> strings.setRange(words, session, reply);
            case GETRANGE, SUBSTR -> strings.getRange(words, session, reply);
            case STRLEN -> {
                Integer length = strings.length(words.key(1, session.tenant));
                reply.integer(length == null ? 0 : length);
            }
            case DEL, UNLINK -> keys.count(words, session, store::delete, reply);
            case EXISTS, TOUCH -> keys.count(words, session, store::contains, reply);
            case EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT -> keys.expire(command, words, session, reply);
            case PERSIST -> reply.integer(store.persist(words.key(1, session.tenant)) ? 1 : 0);
            case TTL, PTTL, EXPIRETIME, PEXPIRETIME -> keys.deadline(command, words.key(1, session.tenant), reply);
            case TYPE -> keys.type(words.key(1, session.tenant), reply);
            case RENAME, RENAMENX -> keys.rename(command, words, session, reply);
            case RANDOMKEY -> keys.random(session, reply);
            case KEYS -> keys.keys(words, session, reply);
            case SCAN -> keys.scan(words, session, reply);
            case DBSIZE -> reply.integer(store.keys(session.tenant));
            case FLUSHALL, FLUSHDB -> keys.flush(command, words, session, reply);
            case MULTI -> {
                if (session.transaction.isOpen()) {
                    throw new ReplyException("ERR MULTI calls can not be nested");
                }
                session.transaction.begin();
                reply.ok();
            }
            case EXEC -> executeTransaction(session, reply);
            case DISCARD -> {
                requireTransaction(session, command);
                session.transaction.end();
                reply.ok();
            }
            case WATCH -> {
                if (session.transaction.isOpen()) {
                    throw new ReplyException("ERR WATCH inside MULTI is not allowed");
                }
                for (int i = 1; i < words.size(); i++) {
                    session.transaction.watch(words.key(i, session.tenant), store::isPresent);
                }
                reply.ok();
            }
            case UNWATCH -> {
                session.transaction.unwatch();
                reply.ok();
            }
            case SELECT -> server.select(words, session, reply);
            case PING -> server.ping(words, reply);
            case ECHO -> reply.bulk(words.value(1));
            case QUIT -> {
                reply.ok();
                session.quit = true;
            }
            case RESET -> server.reset(session, reply);
            case AUTH -> server.authenticate(words, session, reply);
            case HELLO -> server.hello(words, session, reply);
            case TIME -> server.time(reply);
            case INFO -> server.info(words, reply);
            case COMMAND -> server.describe(words, reply);
            case CONFIG -> server.configuration(words, reply);
            case CLIENT -> server.client(words, session, reply);
            case OBJECT -> server.object(words, session, reply);
            case MEMORY -> server.memory(words, session, reply);
        }
    }

    private static void requireTransaction(Session session, Command command) {
        if (!session.transaction.isOpen()) {
            throw new ReplyException("ERR " + command.name() + " without MULTI");
        }
    }

    private void executeTransaction(Session session, Reply reply) {
        requireTransaction(session, Command.EXEC);
        boolean isAborted = session.transaction.isAborted();
        boolean isOutdated = session.transaction.isOutdated(store::isPresent);
        List<Request> commands = session.transaction.end();
        if (isAborted) {
            throw new ReplyException("EXECABORT Transaction discarded because of previous errors.");
        }
        if (isOutdated) {
            reply.nilArray();
            return;
        }
        reply.array(commands.size());
        session.isAtomic = true;
        for (Request words : commands) {
            Command command = Command.of(words, 0);
            if (command == null) {
                throw new IllegalStateException("only known commands are queued");
            }
            execute(command, words, session, reply);
        }
        session.isAtomic = false;
    }
}
