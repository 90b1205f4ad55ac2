// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A RESP2 client connection. Not thread-safe. */
final class RespClient implements AutoCloseable {

    private static final int TIMEOUT_MILLIS = 30_000;
    private static final int BUFFER = 64 << 10;

    private final Socket socket;
    private final DataInputStream in;
    private final OutputStream out;

    /** Connects to a loopback port. */
    RespClient(int port) throws IOException {
        socket = new Socket(InetAddress.getLoopbackAddress(), port);
        socket.setTcpNoDelay(true);
        socket.setSoTimeout(TIMEOUT_MILLIS);
        in = new DataInputStream(new BufferedInputStream(socket.getInputStream(), BUFFER));
        out = new BufferedOutputStream(socket.getOutputStream(), BUFFER);
    }

    /** A reply that begins with a minus. */
    record ErrorReply(String message) {}

    /** Sends a command and returns its reply, as {@link #read} does. */
    @Nullable
    Object call(Object... words) throws IOException {
        send(words);
        return read();
    }

    /** Sends a command and returns its bulk reply as text. */
    String text(Object... words) throws IOException {
        if (call(words) instanceof byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
        throw new IOException("reply is not text: " + words[0]);
    }

    /** Reads a reply that must be {@code OK}. */
    void expectOk() throws IOException {
        Object reply = read();
        if (!"OK".equals(reply)) {
            throw new IOException("expected OK, got " + reply);
        }
    }

    /** Returns a number of a section of {@code INFO}. */
    long info(String section, String field) throws IOException {
        return text("INFO", section)
                .lines()
                .filter(line -> line.startsWith(field + ":"))
                .mapToLong(line -> Long.parseLong(line.substring(field.length() + 1)))
                .findFirst()
                .orElseThrow(() -> new IOException("INFO has no " + field));
    }

    /** Writes a command without waiting for its reply. Words that are not byte arrays are sent as their text. */
    void send(Object... words) throws IOException {
        line("*" + words.length);
        for (Object word : words) {
            byte[] bytes =
                    word instanceof byte[] array ? array : word.toString().getBytes(StandardCharsets.UTF_8);
            line("$" + bytes.length);
            out.write(bytes);
            line("");
        }
    }

    /** Sends an incomplete command. */
    void sendHalf(String key, byte[] value) throws IOException {
        line("*3\r\n$3\r\nSET\r\n$" + key.length() + "\r\n" + key);
        line("$" + value.length);
        out.write(value, 0, value.length / 2);
        out.flush();
    }

    /** Completes an incomplete command. */
    void sendSecondHalf(byte[] value) throws IOException {
        out.write(value, value.length / 2, value.length - value.length / 2);
        line("");
        out.flush();
    }

    /** Sends text that is not followed by the end of a line. */
    void sendText(String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.flush();
    }

    /** {@return whether a part of a reply has arrived} */
    boolean hasReply() throws IOException {
        return in.available() > 0;
    }

    /** Sends what was written. */
    void flush() throws IOException {
        out.flush();
    }

    private void line(String text) throws IOException {
        out.write(text.getBytes(StandardCharsets.UTF_8));
        out.write('\r');
        out.write('\n');
    }

    /**
     * Returns the next reply: text, an {@link ErrorReply}, a Long, a byte array, a list of replies, or null for nil.
     */
    @Nullable
    Object read() throws IOException {
        out.flush();
        String line = readLine();
        String rest = line.substring(1);
        return switch (line.charAt(0)) {
            case '+' -> rest;
            case '-' -> new ErrorReply(rest);
            case ':' -> Long.valueOf(rest);
            case '$' -> readBytes(Integer.parseInt(rest));
            case '*' -> readAll(Integer.parseInt(rest));
            default -> throw new IOException("not a reply: " + line);
        };
    }

    private byte @Nullable [] readBytes(int length) throws IOException {
        if (length < 0) {
            return null;
        }
        byte[] bytes = new byte[length];
        in.readFully(bytes);
        if (!readLine().isEmpty()) {
            throw new IOException("a value is longer than announced");
        }
        return bytes;
    }

    private List<@Nullable Object> readAll(int length) throws IOException {
        List<@Nullable Object> replies = new ArrayList<>();
        for (int i = 0; i < length; i++) {
            replies.add(read());
        }
        return replies;
    }

    private String readLine() throws IOException {
        StringBuilder line = new StringBuilder();
        int next = in.read();
        while (next != '\r') {
            if (next < 0) {
                throw new EOFException("the server has closed the connection");
            }
            line.append((char) next);
            next = in.read();
        }
        if (in.read() != '\n') {
            throw new IOException("a line does not end in a line feed");
        }
        return line.toString();
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
