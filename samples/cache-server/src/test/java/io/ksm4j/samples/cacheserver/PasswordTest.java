// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ksm4j.MergeRegistry;
import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.exceptions.JedisAccessControlException;

class PasswordTest {

    @Test
    void requiresThePassword(@TempDir Path directory) throws IOException {
        Path file = directory.resolve("password");
        Files.writeString(file, "secret word\nnot read\n");
        try (ServerUnderTest locked = new ServerUnderTest("--password-file", file.toString());
                Jedis jedis = locked.jedis()) {
            assertThatThrownBy(() -> jedis.get("a")).hasMessage("NOAUTH Authentication required.");
            assertThatThrownBy(() -> jedis.auth("wrong"))
                    .isInstanceOf(JedisAccessControlException.class)
                    .hasMessage("WRONGPASS invalid username-password pair or user is disabled.");
            assertThatThrownBy(() -> jedis.auth("joe", "secret word")).isInstanceOf(JedisAccessControlException.class);
            assertThatThrownBy(() -> jedis.get("a")).hasMessage("NOAUTH Authentication required.");
            assertThat(jedis.auth("secret word")).isEqualTo("OK");
            assertThat(jedis.set("a", "1")).isEqualTo("OK");
            assertThat(jedis.get("a")).isEqualTo("1");

            try (RawClient hello = locked.raw()) {
                hello.send(SessionTest.lines(
                        "HELLO 3", "PING", "HELLO 2 AUTH default 'secret word'", "PING", "RESET", "PING", "QUIT"));
                assertThat(hello.readToEnd())
                        .startsWith("-NOAUTH HELLO must be called")
                        .contains("-NOAUTH Authentication required.\r\n*14\r\n")
                        .endsWith("+PONG\r\n+RESET\r\n-NOAUTH Authentication required.\r\n+OK\r\n");
            }
        }
    }

    @Test
    void clientsWithoutPasswordMaySendLittle(@TempDir Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("password"), "secret");
        try (ServerUnderTest locked = new ServerUnderTest("--password-file", file.toString());
                RawClient words = locked.raw();
                RawClient bytes = locked.raw();
                Jedis jedis = locked.jedis()) {
            words.send("*11\r\n");
            assertThat(words.readToEnd()).isEqualTo("-ERR Protocol error: unauthenticated multibulk length\r\n");
            bytes.send("*2\r\n$4\r\nAUTH\r\n$16385\r\n");
            assertThat(bytes.readToEnd()).isEqualTo("-ERR Protocol error: unauthenticated bulk length\r\n");
            jedis.auth("secret");
            assertThat(jedis.set("a", "x".repeat(20_000))).isEqualTo("OK");
        }
    }

    @Test
    void aPasswordFileMustContainAPassword(@TempDir Path directory) throws IOException {
        Path file = Files.writeString(directory.resolve("password"), "\n");
        long before = MergeRegistry.system().openRegions();

        assertThatThrownBy(() -> new ServerUnderTest("--password-file", file.toString()))
                .isInstanceOf(IOException.class)
                .hasMessage(file + " contains no password");
        assertThat(MergeRegistry.system().openRegions()).isEqualTo(before);
    }
}
