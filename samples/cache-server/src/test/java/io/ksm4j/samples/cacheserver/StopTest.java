// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine.ParameterException;
import redis.clients.jedis.Jedis;

/** Tests starting and stopping the server. */
class StopTest {

    @Test
    void answersAllReadRequestsBeforeItDisconnects() throws Exception {
        ServerUnderTest running = new ServerUnderTest();
        Thread stopping = new Thread(running::close);
        try (RawClient client = running.raw()) {
            Thread sender = new Thread(() -> {
                try {
                    while (true) {
                        client.send("*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n".repeat(100));
                    }
                } catch (IOException e) {
                    // The connection is gone.
                }
            });
            sender.start();
            assertThat(client.read(11 * 1000)).isEqualTo("$5\r\nhello\r\n".repeat(1000));

            stopping.start();
            String rest = client.readToEnd();

            assertThat(rest).isEqualTo("$5\r\nhello\r\n".repeat(rest.length() / 11));
        }
        stopping.join();
        int port = running.server.port();
        assertThatThrownBy(() -> new RawClient(port)).isInstanceOf(IOException.class);
    }

    @Test
    void sendsCompleteRepliesToSlowReaders() throws Exception {
        String value = "v".repeat(65_536);
        String request = "*41\r\n$4\r\nMGET\r\n" + "$3\r\nkey\r\n".repeat(40);
        String reply = "*40\r\n" + ("$65536\r\n" + value + "\r\n").repeat(40);
        ServerUnderTest running = new ServerUnderTest();
        try (Jedis jedis = running.jedis()) {
            jedis.set("key", value);
        }
        Thread stopping = new Thread(running::close);
        try (RawClient client = running.raw()) {
            client.socket.setReceiveBufferSize(256 << 10);
            client.send(request.repeat(6));
            await().until(() -> running.server.snapshot().hits() >= 40);

            stopping.start();
            await().until(() -> !isListening(running.server.port()));
            String replies = client.readToEnd();

            assertThat(replies.length()).isEqualTo(6 * reply.length());
            assertThat(replies).isEqualTo(reply.repeat(6));
        }
        stopping.join();
    }

    private static boolean isListening(int port) {
        try (RawClient client = new RawClient(port)) {
            return client.socket.isConnected();
        } catch (IOException e) {
            return false;
        }
    }

    @Test
    void reportsWhyItCannotListen() throws IOException {
        try (ServerUnderTest running = new ServerUnderTest()) {
            String port = Integer.toString(running.server.port());

            assertThatThrownBy(() -> CacheServer.start(Options.parse("--port", port)))
                    .isInstanceOf(IOException.class)
                    .hasMessageMatching("cannot listen on 127\\.0\\.0\\.1:" + port + ": .*in use.*");
            assertThatThrownBy(() -> CacheServer.start(Options.parse("--port", "0", "--http-port", port)))
                    .isInstanceOf(IOException.class)
                    .hasMessageMatching("cannot listen on 127\\.0\\.0\\.1:" + port + ": .*in use.*");
            assertThatThrownBy(() -> CacheServer.start(Options.parse("--port", "0", "--bind", "no.such.host.invalid")))
                    .isInstanceOf(IOException.class)
                    .hasMessage("cannot listen on no.such.host.invalid:0: unknown host");
        }
    }

    @ParameterizedTest
    @CsvSource({
        "--port, x",
        "--port, 65536",
        "--http-port, -1",
        "--max-memory, 1x",
        "--max-memory, 4k",
        "--max-memory, 9999999999g",
        "--databases, 0",
        "--io-threads, 0",
        "--max-clients, 0",
        "--merge, maybe",
        "--ksmd, 0",
        "--ksmd, 1.1",
        "--ksmd, NaN",
        "--nonsense, 1"
    })
    void refusesInvalidOptions(String option, String value) {
        assertThatThrownBy(() -> Options.parse(option, value)).isInstanceOf(ParameterException.class);
    }

    @ParameterizedTest
    @CsvSource({"1048576, 1048576", "1024k, 1048576", "3M, 3145728", "2g, 2147483648"})
    void parsesNumbersOfBytes(String text, long bytes) {
        assertThat(Options.parse("--max-memory", text).maxMemory).isEqualTo(bytes);
    }

    @Test
    void hasDefaultOptions() {
        Options options = Options.parse();

        assertThat(options.port).isEqualTo(6379);
        assertThat(options.bind).isEqualTo("127.0.0.1");
        assertThat(options.maxMemory).isEqualTo(1 << 30);
        assertThat(options.ksmdShare).isEqualTo(0.2);
        assertThat(options.merge).isEqualTo(Options.Merge.ON);
    }
}
