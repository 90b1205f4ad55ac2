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
 * One client: makes requests of what Netty's codec finds in the bytes, has them executed in their order, and sends all replies to what was
 * read at once.
 *
 * <p>Netty's own aggregators would make room for as many words as a client announces, and copy each value once more. Here a value that
 * arrives in one piece stays where it was read until it is stored, and what is half sent holds what has arrived.
 */
@SuppressWarnings("FutureReturnValueIgnored") // That a channel is closed already is nothing to hear of.
final class Connection extends ChannelInboundHandlerAdapter {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    /** How long a client that is told goodbye may take to read what it was sent. */
    private static final int FAREWELL_SECONDS = 5;

    /** So much is made room for because a client says so. */
    private static final int MOST_ON_TRUST = 64 << 10;

    /** About what a word takes besides its bytes. */
    private static final int WORD_BYTES = 128;

    private static final Pattern INLINE_WORD = Pattern.compile("\"([^\"]*)\"|'([^']*)'|([^\\s\"']+)");

    /** Lines that a browser sends first, when a web page makes it send others after them. */
    private static final Pattern HTTP = Pattern.compile("(?i)\\s*(POST\\s|Host:)");

    private final Channel channel;
    private final Reply reply;
    private final Commands commands;
    private final RequestLimits limits;
    private final Session session;

    /** The words of a request so far; buffers that are ours. */
    private final List<ByteBuf> words = new ArrayList<>();

    /** How many words the request has; 0 between requests. */
    private int expected;

    /** The word that is coming in pieces. */
    private @Nullable ByteBuf partial;

    /** How long it will be; 0 between words. */
    private int partialLength;

    /** The bytes of the words so far, and of the one that is coming. */
    private long requestBytes;

    /** What this connection has of {@link RequestLimits#hold}. */
    private long held;

    /** How many of the words do not share memory with what was read together with them. */
    private int copied;

    /** What was read while the client did not read its replies. */
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
        long millis = limits.patience().toMillis();
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
        } else if (waiting.isEmpty() && reply.mayGoOn()) {
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
            keepWhatIsHalfSent();
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext ctx) {
        if (!channel.isWritable()) {
            // A request is being answered, in the loop below perhaps.
            return;
        }
        while (!waiting.isEmpty() && reply.mayGoOn()) {
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
            // Others come in pieces.
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

    /** The first letter of messages that hold no buffer. */
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
        if (length > RequestLimits.MOST_WORDS) {
            refuse("invalid multibulk length");
        } else {
            expected = (int) Math.max(0, length);
        }
    }

    private void beginWord(int length) {
        requestBytes += length + WORD_BYTES;
        if (expected == 0) {
            refuse("expected '*', got '$'");
        } else if (length < 0 || length > limits.mostWordBytes() || requestBytes > limits.mostRequestBytes()) {
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
                word = channel.alloc().directBuffer(Math.min(partialLength, MOST_ON_TRUST), partialLength);
                partial = word;
            }
            int needed = word.readableBytes() + bytes.readableBytes();
            if (needed > word.capacity()) {
                // By itself it would grow in small steps, and be copied each time.
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
            refuse("this is no web server");
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
            // What it was sent is not a whole reply, so there is nothing more to say to it.
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

    /** Lets go of what was read together with the words, and sees that all connections together do not keep too much. */
    private void keepWhatIsHalfSent() {
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
            refuse("too much is half sent");
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

    /** Answers what has been read, and nothing more. */
    void finish() {
        stopping = true;
        if (waiting.isEmpty()) {
            leave();
        }
    }

    /**
     * Sends what there is to send and closes, but reads on until the client has closed, too. Closed with something unread, the connection
     * would be reset, and the client might never see its last replies.
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
        channel.eventLoop().schedule(() -> channel.close(), FAREWELL_SECONDS, TimeUnit.SECONDS);
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
