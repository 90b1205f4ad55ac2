// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.MergeRegistry;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.stream.Stream;
import redis.clients.jedis.Jedis;

/** A server in this JVM that does not change the settings of ksmd. */
final class ServerUnderTest implements AutoCloseable {

    final CacheServer server;

    private final long openBefore = MergeRegistry.system().openRegions();

    ServerUnderTest(String... options) throws IOException {
        this(Duration.ofMinutes(1), options);
    }

    ServerUnderTest(Duration timeout, String... options) throws IOException {
        Options parsed = Options.parse(Stream.concat(Stream.of("--port", "0", "--ksmd", "off"), Stream.of(options))
                .toArray(String[]::new));
        parsed.timeout = timeout;
        server = CacheServer.start(parsed);
    }

    Jedis jedis() {
        return new Jedis("127.0.0.1", server.port());
    }

    RawClient raw() throws IOException {
        return new RawClient(server.port());
    }

    /** Checks that there is at most one block for each key; values that INCR counts have none. */
    void assertNothingLeaked() {
        await().untilAsserted(() -> {
            Snapshot now = server.snapshot();
            assertThat(now.pool().blocks()).isLessThanOrEqualTo(now.keys());
            assertThat(now.pool().valueBytes())
                    .isEqualTo(now.tenants().stream()
                            .mapToLong(Snapshot.Tenant::valueBytes)
                            .sum());
        });
    }

    @Override
    public void close() {
        try {
            assertNothingLeaked();
        } finally {
            server.close();
        }
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(openBefore);
    }

    /** A client that sends and reads raw bytes. */
    static final class RawClient implements AutoCloseable {

        final Socket socket;

        RawClient(int port) throws IOException {
            socket = new Socket(InetAddress.getLoopbackAddress(), port);
            socket.setSoTimeout((int) PATIENCE.toMillis());
        }

        void send(String text) throws IOException {
            socket.getOutputStream().write(text.getBytes(StandardCharsets.ISO_8859_1));
        }

        String read(int bytes) throws IOException {
            return new String(socket.getInputStream().readNBytes(bytes), StandardCharsets.ISO_8859_1);
        }

        /** Reads until the server closes the connection. */
        String readToEnd() throws IOException {
            return new String(socket.getInputStream().readAllBytes(), StandardCharsets.ISO_8859_1);
        }

        /** Reads a number of bytes, or fewer if the server closes or resets the connection before. */
        String readUpTo(int bytes) throws IOException {
            ByteArrayOutputStream read = new ByteArrayOutputStream();
            byte[] some = new byte[64 << 10];
            try {
                int count = 0;
                while (count >= 0 && read.size() < bytes) {
                    read.write(some, 0, count);
                    count = socket.getInputStream().read(some, 0, Math.min(some.length, bytes - read.size()));
                }
            } catch (SocketException e) {
                // It was reset.
            }
            return read.toString(StandardCharsets.ISO_8859_1);
        }

        String ask(String request, int bytes) throws IOException {
            send(request);
            return read(bytes);
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }
}
