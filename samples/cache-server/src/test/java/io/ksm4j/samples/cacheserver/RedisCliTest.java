// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Tests the server with redis-cli. */
class RedisCliTest {

    private static final Path REDIS_CLI = Path.of("/usr/bin/redis-cli");

    @Test
    void worksWithoutChanges() throws Exception {
        assumeTrue(Files.isExecutable(REDIS_CLI), "needs " + REDIS_CLI + ": Debian package redis-tools");
        try (ServerUnderTest running = new ServerUnderTest("--max-memory", "64m")) {
            Process cli = new ProcessBuilder(REDIS_CLI.toString(), "-p", Integer.toString(running.server.port()))
                    .redirectErrorStream(true)
                    .start();
            try {
                cli.getOutputStream().write("""
                        SELECT 3
                        SET greeting "hello world" EX 100
                        GET greeting
                        INCR n
                        MGET n greeting
                        CONFIG GET databases
                        EXISTS greeting none
                        """.getBytes(StandardCharsets.US_ASCII));
                cli.getOutputStream().close();
                String output = new String(cli.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);

                assertThat(output.lines())
                        .containsExactly("OK", "OK", "hello world", "1", "1", "hello world", "databases", "16", "1");
                assertThat(cli.waitFor()).isZero();
            } finally {
                cli.destroyForcibly();
            }
            assertThat(running.server.snapshot().tenants())
                    .extracting(Snapshot.Tenant::index)
                    .containsExactly(3);
        }
    }
}
