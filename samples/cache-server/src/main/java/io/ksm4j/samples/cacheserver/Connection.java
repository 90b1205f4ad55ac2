// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.samples.cacheserver.RequestParser.ProtocolException;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.DuplexChannel;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The connection of one client. Executes its requests in order, and sends the replies to everything that was read at
 * once together.
 *
 * <p>A request that arrives in one piece stays in the read buffer until it is executed. An incomplete request is moved
 * to a buffer that grows with what arrives, not with what the client announces.
 */
@SuppressWarnings("FutureReturnValueIgnored") // Failures because a channel is already closed do not matter.
final class Connection extends ChannelInboundHandlerAdapter {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    /** How long a client may take to read its last replies before the connection is closed. */
    private static final int CLOSE_SECONDS = 5;

    private final Channel channel;
    private final Reply reply;
    private final Commands commands;
    private final RequestLimits limits;
    private final RequestParser parser;
    private final Session session;

    /** The bytes that were read and not executed; null if there are none. This connection releases the buffer. */
    private @Nullable ByteBuf input;

    /** Whether this connection has reported bytes to {@link RequestLimits#hold(Connection, long)}. */
    private boolean isHolding;

    /** Whether the input has to wait because the client does not read its replies. */
    private boolean waiting;

    private boolean stopping;
    private boolean leaving;
    private boolean progressed;
    private @Nullable Future<?> watch;

    Connection(Channel channel, Commands commands, RequestLimits limits, UnreadReplies unread, Session session) {
        this.channel = channel;
        this.reply = new Reply(channel, unread, this::goOn);
        this.commands = commands;
        this.limits = limits;
        this.parser = new RequestParser(limits, () -> session.isAuthenticated);
        this.session = session;
    }

    @Override
    public void handlerAdded(ChannelHandlerContext ctx) {
        long millis = limits.timeout().toMillis();
        watch = channel.eventLoop().scheduleWithFixedDelay(() -> closeIfStuck(), millis, millis, TimeUnit.MILLISECONDS);
    }

    private void closeIfStuck() {
        if (input != null && !waiting && !progressed) {
            channel.close();
        }
        progressed = false;
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
        ByteBuf bytes = (ByteBuf) message;
        if (leaving) {
            bytes.release();
            return;
        }
        progressed = true;
        append(bytes);
        executeAll();
    }

    private void append(ByteBuf bytes) {
        ByteBuf before = input;
        if (before == null) {
            setInput(bytes);
            return;
        }
        try {
            before.readerIndex(parser.position());
            int size = before.readableBytes() + bytes.readableBytes();
            ByteBuf all = before;
            if (before.writableBytes() < bytes.readableBytes()) {
                // Doubled, so that a long request is not copied for each of its pieces.
                all = moved(before, Math.max(size, (int) Math.min(parser.needed(), 2L * size)));
            }
            setInput(all.writeBytes(bytes));
        } finally {
            bytes.release();
        }
    }

    /** Moves the input to a buffer of another size. */
    private ByteBuf moved(ByteBuf before, int capacity) {
        ByteBuf buffer = channel.alloc().directBuffer(capacity).writeBytes(before);
        setInput(buffer);
        before.release();
        return buffer;
    }

    private void setInput(ByteBuf bytes) {
        input = bytes;
        parser.setInput(bytes.nioBuffer(0, bytes.writerIndex()).position(bytes.readerIndex()));
    }

    /** Executes all requests that have arrived, as long as the client reads its replies. */
    private void executeAll() {
        while (!leaving && !parser.isEmpty()) {
            waiting = !reply.mayContinue();
            if (waiting) {
                channel.config().setAutoRead(false);
                return;
            }
            try {
                if (session.resumeAt == 0 && !parser.parse()) {
                    break;
                }
            } catch (ProtocolException e) {
                refuse(e.getMessage());
                return;
            }
            execute();
        }
        if (!leaving && parser.isEmpty()) {
            forgetInput();
        }
    }

    private void execute() {
        try {
            commands.execute(parser.request, session, reply);
        } catch (Reply.TooLongException e) {
            abort();
            LOGGER.log(Level.WARNING, "client {0}: {1}", session.id, e.getMessage());
        } catch (RuntimeException | Error e) {
            // The client may have received an incomplete reply, so no further reply can follow. Logging may fail, too.
            abort();
            LOGGER.log(Level.ERROR, "client " + session.id + " is disconnected", e);
        }
        if (!leaving && session.resumeAt == 0) {
            parser.skip();
            if (session.quit) {
                leave();
            }
        }
    }

    private void abort() {
        leaving = true;
        forgetInput();
        channel.close();
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext ctx) {
        reply.flush();
        ByteBuf bytes = input;
        if (bytes != null) {
            bytes.readerIndex(parser.position());
            keepInput(bytes);
        }
    }

    /** Leaves the read buffer, and refuses the request if all connections together hold too much. */
    private void keepInput(ByteBuf bytes) {
        int size = bytes.readableBytes();
        if (!waiting) {
            size = Math.max(size, (int) Math.min(parser.needed(), 2L * size));
        }
        ByteBuf kept = bytes.capacity() > size ? moved(bytes, size) : bytes;
        isHolding = true;
        if (!limits.hold(this, kept.capacity() + parser.request.heapBytes())) {
            refuseInput();
        }
    }

    /** Refuses the incomplete request in favor of smaller ones. Any thread may call this. */
    void refuseIncomplete() {
        channel.eventLoop().execute(this::refuseInput);
    }

    private void refuseInput() {
        if (leaving) {
            return;
        }
        if (session.resumeAt > 0) {
            // An error would become a part of the reply in progress.
            abort();
        } else if (input != null) {
            refuse("too many incomplete requests");
        }
    }

    private void forgetInput() {
        parser.clear();
        ByteBuf bytes = input;
        if (bytes != null) {
            input = null;
            bytes.release();
        }
        if (isHolding) {
            isHolding = false;
            limits.hold(this, 0);
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext ctx) {
        goOn();
    }

    /** Executes the requests that had to wait. */
    private void goOn() {
        // While a request is executed, the loop that executes it goes on by itself.
        if (!waiting || !channel.isWritable()) {
            return;
        }
        executeAll();
        if (!waiting) {
            reply.flush();
            if (stopping) {
                leave();
            }
            channel.config().setAutoRead(true);
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        channel.close();
        if (!(cause instanceof IOException)) {
            LOGGER.log(Level.ERROR, "client " + session.id + " is disconnected", cause);
        }
    }

    private void refuse(String problem) {
        reply.error("ERR Protocol error: " + problem);
        leave();
    }

    /** Answers what has been read, then disconnects. */
    void finish() {
        stopping = true;
        if (!waiting) {
            leave();
        }
    }

    /**
     * Sends the remaining replies and closes, but reads on until the client has closed as well. If the connection were
     * closed with unread data, it would be reset, and the client might lose its last replies.
     */
    private void leave() {
        if (leaving) {
            return;
        }
        leaving = true;
        forgetInput();
        reply.end();
        ChannelFuture sent = channel.writeAndFlush(Unpooled.EMPTY_BUFFER);
        sent.addListener(done -> ((DuplexChannel) channel).shutdownOutput());
        channel.config().setAutoRead(true);
        channel.eventLoop().schedule(() -> channel.close(), CLOSE_SECONDS, TimeUnit.SECONDS);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        leaving = true;
        forgetInput();
        Future<?> scheduled = watch;
        if (scheduled != null) {
            scheduled.cancel(false);
        }
        reply.close();
        session.transaction.end();
    }
}
