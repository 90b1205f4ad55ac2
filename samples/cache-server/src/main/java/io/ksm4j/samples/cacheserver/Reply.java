package io.ksm4j.samples.cacheserver;

import io.ksm4j.pool.MergeBlock;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.ByteBufUtil;
import io.netty.channel.Channel;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * What one connection is answered, in RESP2: collected until it is worth a system call. Values are copied once, from their blocks into
 * memory that the socket takes.
 */
@SuppressWarnings("FutureReturnValueIgnored") // With a void promise, the pipeline hears of what fails.
final class Reply {

    private static final byte[] OK = ascii("+OK\r\n");
    private static final byte[] PONG = ascii("+PONG\r\n");
    private static final byte[] NULL = ascii("$-1\r\n");
    /** Two bytes as a number: a buffer has them sooner than an array. */
    private static final int END_OF_LINE = '\r' << Byte.SIZE | '\n';

    /** A type, the digits of a number, and the end of a line. */
    private static final int MOST_HEADER = 1 + 20 + 2;

    private static final int LEAST_BUFFER = 1 << 10;
    private static final int WORTH_A_WRITE = 256 << 10;

    /** More than this never waits for a client: what the longest value takes. */
    private static final int MOST_WAITING = 512 << 20;

    /** A client asks for much and reads nothing. */
    static final class TooLongException extends RuntimeException {

        private static final long serialVersionUID = 1;

        TooLongException() {
            super("more than " + MOST_WAITING + " bytes wait to be read");
        }
    }

    private final Channel channel;
    private @Nullable ByteBuf out;
    private int unflushed;

    Reply(Channel channel) {
        this.channel = channel;
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    void ok() {
        room(OK.length).writeBytes(OK);
    }

    void pong() {
        room(PONG.length).writeBytes(PONG);
    }

    void nil() {
        room(NULL.length).writeBytes(NULL);
    }

    /** One line; what is no printable ASCII becomes a question mark. */
    void error(String message) {
        byte[] line = ascii("-" + message.replaceAll("[^ -~]", "?") + "\r\n");
        room(line.length).writeBytes(line);
    }

    void integer(long number) {
        header(':', number, 0);
    }

    /** As many replies must follow. */
    void array(int length) {
        header('*', length, 0);
    }

    void bulk(ByteBuf bytes) {
        int length = bytes.readableBytes();
        header('$', length, length + 2)
                .writeBytes(bytes, bytes.readerIndex(), length)
                .writeShort(END_OF_LINE);
    }

    void bulk(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        header('$', bytes.length, bytes.length + 2).writeBytes(bytes).writeShort(END_OF_LINE);
    }

    /** Throws what {@link MergeBlock#get} throws; then nothing was added. */
    void bulk(MergeBlock block) {
        int length = block.size();
        ByteBuf buffer = room(MOST_HEADER + length + 2);
        int before = buffer.writerIndex();
        try {
            header('$', length, length + 2);
            int start = buffer.writerIndex();
            block.get(0, buffer.internalNioBuffer(start, length));
            buffer.writerIndex(start + length).writeShort(END_OF_LINE);
        } catch (IllegalStateException e) {
            buffer.writerIndex(before);
            throw e;
        }
    }

    private ByteBuf header(char type, long number, int following) {
        ByteBuf buffer = room(MOST_HEADER + following).writeByte(type);
        if (number >= 0 && number < 10) {
            buffer.writeByte('0' + (int) number);
        } else {
            ByteBufUtil.writeAscii(buffer, Long.toString(number));
        }
        return buffer.writeShort(END_OF_LINE);
    }

    private ByteBuf room(int bytes) {
        ByteBuf buffer = out;
        if (buffer != null && buffer.writableBytes() >= bytes) {
            return buffer;
        }
        write();
        if (unflushed > WORTH_A_WRITE) {
            flush();
            if (channel.bytesBeforeWritable() > MOST_WAITING) {
                throw new TooLongException();
            }
        }
        buffer = channel.alloc().ioBuffer(Math.max(bytes, LEAST_BUFFER));
        out = buffer;
        return buffer;
    }

    private void write() {
        ByteBuf buffer = out;
        if (buffer != null) {
            out = null;
            unflushed += buffer.readableBytes();
            channel.write(buffer, channel.voidPromise());
        }
    }

    /** Sends what the socket takes now. */
    void flush() {
        write();
        if (unflushed > 0) {
            unflushed = 0;
            channel.flush();
        }
    }

    /** Whether the client reads its replies, or so few wait that it does not matter. */
    boolean mayGoOn() {
        if (!channel.isWritable()) {
            flush();
        }
        return channel.isWritable();
    }

    /** Forgets what was not sent. */
    void close() {
        ByteBuf buffer = out;
        if (buffer != null) {
            out = null;
            buffer.release();
        }
    }
}
