// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.DecoderException;
import io.netty.handler.codec.redis.ArrayHeaderRedisMessage;
import io.netty.handler.codec.redis.BulkStringHeaderRedisMessage;
import io.netty.handler.codec.redis.BulkStringRedisContent;
import io.netty.handler.codec.redis.ErrorRedisMessage;
import io.netty.handler.codec.redis.FullBulkStringRedisMessage;
import io.netty.handler.codec.redis.InlineCommandRedisMessage;
import io.netty.handler.codec.redis.IntegerRedisMessage;
import io.netty.handler.codec.redis.LastBulkStringRedisContent;
import io.netty.handler.codec.redis.SimpleStringRedisMessage;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * The connection of one client. Assembles requests from the messages of Netty's codec, executes them in order, and
 * sends the replies to everything that was read at once together.
 *
 * <p>Netty's own aggregators would allocate space for as many words as a client announces, and copy each value once
 * more. Here a value that arrives in one piece stays in the read buffer until it is stored, and an incomplete request
 * uses memory only for what has arrived.
 */
@SuppressWarnings("FutureReturnValueIgnored") // Failures because a channel is already closed do not matter.
final class Connection extends ChannelInboundHandlerAdapter {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    /** How long a client may take to read its last replies before the connection is closed. */
    private static final int CLOSE_SECONDS = 5;

    /** The maximum size that is allocated only because a client announces it. */
    private static final int MAX_INITIAL_BUFFER = 64 << 10;

    /** The approximate memory of a word in addition to its bytes. */
    private static final int WORD_BYTES = 128;

    private static final Pattern INLINE_WORD = Pattern.compile("\"([^\"]*)\"|'([^']*)'|([^\\s\"']+)");

    /** Lines that a browser sends first if a web page makes it send a request to this port. */
    private static final Pattern HTTP = Pattern.compile("(?i)\\s*(POST\\s|Host:)");

    private final Channel channel;
    private final Reply reply;
    private final Commands commands;
    private final RequestLimits limits;
    private final Session session;

    /** The words of the request so far. This connection releases the buffers. */
    private final List<ByteBuf> words = new ArrayList<>();

    /** The number of words of the request; 0 between requests. */
    private int expected;

    /** The word that is arriving in pieces. */
    private @Nullable ByteBuf partial;

    /** The announced length of that word; 0 between words. */
    private int partialLength;

    /** The bytes of the words so far, including the announced length of the current one. */
    private long requestBytes;

    /** The bytes that this connection has reported to {@link RequestLimits#hold}. */
    private long held;

    /** The number of words that have been copied out of the read buffer. */
    private int copied;

    /** Messages that were read while the client did not read its replies. */
    private final Queue<Object> waiting = new ArrayDeque<>();

    private boolean stopping;
    private boolean leaving;
    private boolean progressed;
    private @Nullable Future<?> watch;

    Connection(Channel channel, Commands commands, RequestLimits limits, long id) {
        this.channel = channel;
        this.reply = new Reply(channel);
        this.commands = commands;
        this.limits = limits;
        this.session = new Session(id);
    }

    @Override
    public void handlerAdded(ChannelHandlerContext ctx) {
        long millis = limits.timeout().toMillis();
        watch = channel.eventLoop().scheduleWithFixedDelay(() -> closeIfStuck(), millis, millis, TimeUnit.MILLISECONDS);
    }

    private void closeIfStuck() {
        if (expected > 0 && !progressed) {
            channel.close();
        }
        progressed = false;
    }

    @Override
    public void channelRead(ChannelHandlerContext ctx, Object message) {
        if (leaving) {
            ReferenceCountUtil.release(message);
        } else if (waiting.isEmpty() && reply.mayContinue()) {
            accept(message);
        } else {
            waiting.add(message);
            channel.config().setAutoRead(false);
        }
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext ctx) {
        reply.flush();
        if (expected > 0) {
            keepIncompleteRequest();
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext ctx) {
        if (!channel.isWritable()) {
            // A request is being answered, possibly in the loop below.
            return;
        }
        while (!waiting.isEmpty() && reply.mayContinue()) {
            accept(waiting.remove());
        }
        if (waiting.isEmpty() && !channel.config().isAutoRead()) {
            reply.flush();
            if (stopping) {
                leave();
            }
            channel.config().setAutoRead(true);
        }
    }

    private void accept(Object message) {
        progressed = true;
        if (leaving) {
            ReferenceCountUtil.release(message);
        } else if (message instanceof BulkStringHeaderRedisMessage header) {
            beginWord(header.bulkStringLength());
        } else if (message instanceof FullBulkStringRedisMessage word) {
            // An empty or null word. All others arrive in pieces.
            beginWord(word.isNull() ? -1 : 0);
            if (!leaving) {
                addWord(word.content());
            }
        } else if (message instanceof BulkStringRedisContent content) {
            addToWord(content);
        } else if (message instanceof ArrayHeaderRedisMessage header && expected == 0) {
            beginRequest(header.length());
        } else if (message instanceof InlineCommandRedisMessage line && expected == 0) {
            acceptInline(line.content());
        } else {
            refuse("expected '" + (expected > 0 ? '$' : '*') + "', got '" + type(message) + "'");
        }
    }

    /** Returns the first character of a message that holds no buffer. */
    private static char type(Object message) {
        if (message instanceof ArrayHeaderRedisMessage) {
            return '*';
        } else if (message instanceof SimpleStringRedisMessage) {
            return '+';
        } else if (message instanceof ErrorRedisMessage) {
            return '-';
        } else if (message instanceof IntegerRedisMessage) {
            return ':';
        }
        return message instanceof InlineCommandRedisMessage line
                        && !line.content().isEmpty()
                ? line.content().charAt(0)
                : '\r';
    }

    private void beginRequest(long length) {
        if (length > RequestLimits.MAX_WORDS) {
            refuse("invalid multibulk length");
        } else {
            expected = (int) Math.max(0, length);
        }
    }

    private void beginWord(int length) {
        requestBytes += length + WORD_BYTES;
        if (expected == 0) {
            refuse("expected '*', got '$'");
        } else if (length < 0 || length > limits.maxWordBytes() || requestBytes > limits.maxRequestBytes()) {
            refuse("invalid bulk length");
        } else {
            partialLength = length;
        }
    }

    private void addToWord(BulkStringRedisContent piece) {
        ByteBuf bytes = piece.content();
        boolean last = piece instanceof LastBulkStringRedisContent;
        ByteBuf word = partial;
        if (last && word == null) {
            addWord(bytes);
            return;
        }
        try {
            if (word == null) {
                word = channel.alloc().directBuffer(Math.min(partialLength, MAX_INITIAL_BUFFER), partialLength);
                partial = word;
            }
            int needed = word.readableBytes() + bytes.readableBytes();
            if (needed > word.capacity()) {
                // Without this, the buffer would grow in small steps and be copied each time.
                word.capacity((int) Math.min(partialLength, 2L * needed));
            }
            word.writeBytes(bytes);
        } finally {
            piece.release();
        }
        if (last) {
            partial = null;
            addWord(word);
        }
    }

    private void addWord(ByteBuf word) {
        partialLength = 0;
        words.add(word);
        if (words.size() == expected) {
            execute();
        }
    }

    private void acceptInline(String line) {
        if (HTTP.matcher(line).lookingAt()) {
            refuse("this is not a web server");
            return;
        }
        Matcher matcher = INLINE_WORD.matcher(line);
        int end = 0;
        while (matcher.find() && line.substring(end, matcher.start()).isBlank()) {
            end = matcher.end();
            String word = matcher.group().startsWith("\"")
                    ? matcher.group(1)
                    : matcher.group().startsWith("'") ? matcher.group(2) : matcher.group();
            words.add(Unpooled.copiedBuffer(word, StandardCharsets.UTF_8));
        }
        if (!line.substring(end).isBlank()) {
            refuse("unbalanced quotes in request");
        } else if (!words.isEmpty()) {
            execute();
        }
    }

    private void execute() {
        try {
            commands.execute(words, session, reply);
        } catch (Reply.TooLongException e) {
            LOGGER.log(Level.WARNING, "client {0}: {1}", session.id, e.getMessage());
            channel.close();
            leaving = true;
        } catch (RuntimeException | OutOfMemoryError e) {
            // The client may have received an incomplete reply, so no further reply can follow.
            LOGGER.log(Level.ERROR, "client " + session.id + " is disconnected", e);
            channel.close();
            leaving = true;
        } finally {
            forgetRequest();
        }
        if (session.quit) {
            leave();
        }
    }

    private void forgetRequest() {
        words.forEach(ByteBuf::release);
        words.clear();
        ByteBuf word = partial;
        if (word != null) {
            partial = null;
            word.release();
        }
        partialLength = 0;
        expected = 0;
        requestBytes = 0;
        copied = 0;
        if (held > 0) {
            limits.hold(-held);
            held = 0;
        }
    }

    /** Copies the words out of the read buffer, and refuses the request if all connections together hold too much. */
    private void keepIncompleteRequest() {
        for (; copied < words.size(); copied++) {
            ByteBuf word = words.get(copied);
            words.set(copied, channel.alloc().buffer(word.readableBytes()).writeBytes(word));
            word.release();
        }
        ByteBuf word = partial;
        long holding = requestBytes - partialLength + (word == null ? 0 : word.capacity());
        boolean fits = limits.hold(holding - held);
        held = holding;
        if (!fits) {
            refuse("too many incomplete requests");
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext ctx, Throwable cause) {
        if (cause instanceof DecoderException) {
            if (!leaving) {
                refuse(expected > 0 ? "invalid bulk length" : "invalid multibulk length");
            }
            return;
        }
        if (!(cause instanceof IOException)) {
            LOGGER.log(Level.ERROR, "client " + session.id + " is disconnected", cause);
        }
        channel.close();
    }

    private void refuse(String problem) {
        reply.error("ERR Protocol error: " + problem);
        leave();
    }

    /** Answers what has been read, then disconnects. */
    void finish() {
        stopping = true;
        if (waiting.isEmpty()) {
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
        forgetRequest();
        reply.flush();
        ChannelFuture sent = channel.writeAndFlush(Unpooled.EMPTY_BUFFER);
        sent.addListener(done -> ((DuplexChannel) channel).shutdownOutput());
        channel.config().setAutoRead(true);
        channel.eventLoop().schedule(() -> channel.close(), CLOSE_SECONDS, TimeUnit.SECONDS);
    }

    @Override
    public void channelInactive(ChannelHandlerContext ctx) {
        leaving = true;
        forgetRequest();
        waiting.forEach(ReferenceCountUtil::release);
        waiting.clear();
        Future<?> scheduled = watch;
        if (scheduled != null) {
            scheduled.cancel(false);
        }
        reply.close();
    }
}
