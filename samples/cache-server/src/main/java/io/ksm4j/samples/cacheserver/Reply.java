// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.MergeBlock;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelOutboundBuffer;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * The replies to one connection in RESP2 or RESP3, collected until there is enough for a system call. Values are copied
 * once, from their blocks into the memory that the socket sends.
 */
@SuppressWarnings("FutureReturnValueIgnored") // With a void promise, failures are reported to the pipeline.
final class Reply implements Store.Reader {

    private static final byte[] OK = ascii("+OK\r\n");
    private static final byte[] PONG = ascii("+PONG\r\n");
    private static final byte[] NULL = ascii("$-1\r\n");
    private static final byte[] NULL_ARRAY = ascii("*-1\r\n");
    private static final byte[] NULL_3 = ascii("_\r\n");
    /** Two bytes as a number, which is written faster than an array. */
    private static final short END_OF_LINE = '\r' << Byte.SIZE | '\n';

    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

    /** The type, the digits of a number, and the end of the line. */
    private static final int MAX_HEADER = 1 + 20 + 2;

    private static final int MIN_BUFFER = 1 << 10;
    private static final int FLUSH_THRESHOLD = 256 << 10;

    /** A reply takes more memory than there is for the replies to all clients. */
    static final class TooLongException extends RuntimeException {

        private static final long serialVersionUID = 1;

        TooLongException(long maxBytes) {
            super("more than " + maxBytes + " bytes of replies are unread");
        }
    }

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    private final Channel channel;
    private final UnreadReplies unread;
    private final Runnable whenRead;
    private @Nullable ByteBuf out;

    /** The memory of this buffer, up to the position filled with replies. */
    private ByteBuffer unsent = NOTHING;

    private int unflushed;

    /** The bytes of all replies that were passed to the channel. */
    private long written;

    /** Whether the socket has not accepted everything. */
    private boolean isLagging;

    private boolean hasReported;
    private boolean isResp3;

    /**
     * Creates an object that collects no replies yet.
     *
     * @param whenRead is called when the client has read its replies after it had lagged behind
     */
    Reply(Channel channel, UnreadReplies unread, Runnable whenRead) {
        this.channel = channel;
        this.unread = unread;
        this.whenRead = whenRead;
    }

    /** Selects RESP3 or RESP2 for the replies from now on. */
    void setResp3(boolean isResp3) {
        this.isResp3 = isResp3;
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    void ok() {
        room(OK.length).put(OK);
    }

    void pong() {
        room(PONG.length).put(PONG);
    }

    void nil() {
        nil(NULL);
    }

    void nilArray() {
        nil(NULL_ARRAY);
    }

    private void nil(byte[] inResp2) {
        byte[] nil = isResp3 ? NULL_3 : inResp2;
        room(nil.length).put(nil);
    }

    /** Adds a short text without special characters. */
    void status(String text) {
        byte[] line = ascii("+" + text + "\r\n");
        room(line.length).put(line);
    }

    /** Begins a map: a key and a value must follow for each entry. It is an array in RESP2. */
    void map(int entries) {
        if (isResp3) {
            header('%', entries, 0);
        } else {
            array(2 * entries);
        }
    }

    /** Begins a set. It is an array in RESP2. */
    void set(int length) {
        header(isResp3 ? '~' : '*', length, 0);
    }

    /** Adds text for people. It is a bulk string in RESP2. */
    void verbatim(String text) {
        if (isResp3) {
            byte[] bytes = ("txt:" + text).getBytes(StandardCharsets.UTF_8);
            header('=', bytes.length, bytes.length + 2).put(bytes).putShort(END_OF_LINE);
        } else {
            bulk(text);
        }
    }

    /** Adds an error, which is one line, so that ends of lines within it become spaces. */
    void error(String message) {
        byte[] line =
                ("-" + message.replace('\r', ' ').replace('\n', ' ') + "\r\n").getBytes(StandardCharsets.ISO_8859_1);
        room(line.length).put(line);
    }

    void integer(long number) {
        header(':', number, 0);
    }

    /** Begins an array. {@code length} replies must follow. */
    void array(int length) {
        header('*', length, 0);
    }

    void bulk(ByteBuffer bytes) {
        int length = bytes.remaining();
        header('$', length, length + 2).put(bytes).putShort(END_OF_LINE);
    }

    void bulk(byte[] bytes) {
        header('$', bytes.length, bytes.length + 2).put(bytes).putShort(END_OF_LINE);
    }

    void bulk(String text) {
        bulk(text.getBytes(StandardCharsets.UTF_8));
    }

    /** Adds a value. If {@link MergeBlock#get} throws, the exception is passed on and nothing is added. */
    @Override
    public void read(MergeBlock block) {
        int length = block.size();
        ByteBuffer buffer = room(MAX_HEADER + length + 2);
        int before = buffer.position();
        int limit = buffer.limit();
        try {
            header('$', length, length + 2);
            block.get(0, buffer.limit(buffer.position() + length));
            buffer.limit(limit).putShort(END_OF_LINE);
        } catch (IllegalStateException e) {
            buffer.limit(limit).position(before);
            throw e;
        }
    }

    /** Adds the digits of a number. */
    @Override
    public void read(long number) {
        bulk(Long.toString(number));
    }

    private ByteBuffer header(char type, long number, int following) {
        ByteBuffer buffer = room(MAX_HEADER + following).put((byte) type);
        if (number >= 0 && number < 10) {
            buffer.put((byte) ('0' + number));
        } else {
            buffer.put(ascii(Long.toString(number)));
        }
        return buffer.putShort(END_OF_LINE);
    }

    private ByteBuffer room(int bytes) {
        if (unsent.remaining() >= bytes) {
            return unsent;
        }
        write();
        int large = bytes > FLUSH_THRESHOLD ? bytes : 0;
        if (unflushed > FLUSH_THRESHOLD || large > 0) {
            send(large);
        }
        ByteBuf buffer = channel.alloc().ioBuffer(Math.max(bytes, MIN_BUFFER));
        out = buffer;
        unsent = buffer.nioBuffer(0, buffer.capacity());
        return unsent;
    }

    private void write() {
        ByteBuf buffer = out;
        if (buffer != null) {
            out = null;
            buffer.writerIndex(unsent.position());
            unsent = NOTHING;
            unflushed += buffer.readableBytes();
            written += buffer.readableBytes();
            channel.write(buffer, channel.voidPromise());
        }
    }

    /**
     * Sends as much as the socket accepts now. If it has not accepted everything before, small replies are collected
     * until it has, because a buffer for each of them would take much memory.
     */
    void flush() {
        if (!isLagging || unsent.capacity() > FLUSH_THRESHOLD) {
            end();
        }
    }

    /** Passes all replies to the socket, which sends them before anything else. */
    void end() {
        write();
        if (unflushed > 0) {
            send(0);
        }
    }

    /** Sends what was written, and reports what the client has not read. */
    private void send(int following) {
        unflushed = 0;
        channel.flush();
        report(following);
    }

    private void report(int following) {
        long bytes = unreadBytes();
        if (bytes > 0 && !isLagging) {
            isLagging = true;
            channel.writeAndFlush(Unpooled.EMPTY_BUFFER).addListener(sent -> {
                if (sent.isSuccess()) {
                    // Later, because the channel still counts what it has just sent.
                    channel.eventLoop().execute(this::caughtUp);
                }
            });
        }
        if (bytes + following > 0 || hasReported) {
            hasReported = bytes + following > 0;
            unread.report(this, bytes + following);
        }
    }

    private void caughtUp() {
        isLagging = false;
        end();
        report(0);
        if (!isLagging) {
            whenRead.run();
        }
    }

    /** {@return the bytes that wait for the client to read; any thread may call this} */
    long unreadBytes() {
        ChannelOutboundBuffer waiting = channel.unsafe().outboundBuffer();
        return waiting == null ? 0 : waiting.totalPendingWriteBytes();
    }

    /** Closes the connection because its unread replies take too much memory. Any thread may call this. */
    void disconnect() {
        channel.close();
        LOGGER.log(Level.WARNING, "a client that does not read its replies is disconnected");
    }

    /** {@return the bytes of all replies so far} */
    long bytes() {
        return written + unsent.position();
    }

    /** {@return how large a reply may become before it waits for the client to read} */
    long maxAtomicBytes() {
        return unread.maxAtomicBytes();
    }

    /** {@return whether the client reads its replies fast enough to execute further requests} */
    boolean mayContinue() {
        if (!channel.isWritable()) {
            flush();
        }
        return channel.isWritable() && !(isLagging && unread.isMuch());
    }

    /** Discards unsent replies. */
    void close() {
        unread.report(this, 0);
        ByteBuf buffer = out;
        if (buffer != null) {
            out = null;
            unsent = NOTHING;
            buffer.release();
        }
    }
}
