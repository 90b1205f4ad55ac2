// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.Needed;
import java.io.BufferedReader;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import redis.clients.jedis.Jedis;

/** Tests the server with redis-cli and its modes. */
class RedisCliTest {

    private ServerUnderTest running;

    @BeforeEach
    void start() throws IOException {
        Needed.program("redis-cli", "redis-tools");
        running = new ServerUnderTest("--max-memory", "64m");
    }

    @AfterEach
    void stop() {
        if (running != null) {
            running.close();
        }
    }

    private Process start(String... options) throws IOException {
        List<String> command = new ArrayList<>(List.of("redis-cli", "-p", Integer.toString(running.server.port())));
        command.addAll(List.of(options));
        return new ProcessBuilder(command).redirectErrorStream(true).start();
    }

    /** Runs redis-cli, which reads the input, to its end. */
    private EndedProcess run(String input, String... options) throws Exception {
        Process cli = start(options);
        try {
            cli.getOutputStream().write(input.getBytes(ISO_8859_1));
            cli.getOutputStream().close();
            String output = new String(cli.getInputStream().readAllBytes(), ISO_8859_1);
            return new EndedProcess(cli.waitFor(), output, "");
        } finally {
            cli.destroyForcibly();
        }
    }

    private void setKeys(int count) {
        try (Jedis jedis = running.jedis()) {
            IntStream.range(0, count).forEach(i -> jedis.set("key:" + i, "x".repeat(i)));
        }
    }

    @Test
    void executesLines() throws Exception {
        EndedProcess cli = run("""
                SELECT 3
                SET greeting "hello world" EX 100
                GET greeting
                INCR n
                MGET n greeting
                CONFIG GET databases
                EXISTS greeting none
                MULTI
                INCR n
                EXEC
                """);

        assertThat(cli).isEqualTo(new EndedProcess(0, """
                        OK
                        OK
                        hello world
                        1
                        1
                        hello world
                        databases
                        16
                        1
                        OK
                        QUEUED
                        2
                        """, ""));
        assertThat(running.server.snapshot().tenants())
                .extracting(Snapshot.Tenant::index)
                .containsExactly(3);
    }

    @Test
    void writesJson() throws Exception {
        setKeys(2);
        assertThat(run("", "-3", "--json", "MGET", "key:1", "none").output()).isEqualTo("[\"x\",null]\n");
        assertThat(run("", "-3", "--json", "CONFIG", "GET", "databases").output())
                .isEqualTo("{\"databases\":\"16\"}\n");
        assertThat(run("", "--csv", "MGET", "key:1", "none").output()).isEqualTo("\"x\",NULL\n");
        assertThat(run("", "-e", "-n", "3", "LPUSH", "list", "x").exitStatus()).isEqualTo(1);
    }

    @Test
    void readsAValueFromItsInput() throws Exception {
        assertThat(run("a\0\r\n\u00ff", "-x", "SET", "binary").output()).isEqualTo("OK\n");
        try (Jedis jedis = running.jedis()) {
            assertThat(jedis.get("binary".getBytes(ISO_8859_1))).isEqualTo("a\0\r\n\u00ff".getBytes(ISO_8859_1));
        }
    }

    @Test
    void insertsManyKeysThroughAPipe() throws Exception {
        String requests = IntStream.range(0, 10_000)
                .mapToObj(i -> RequestParserTest.encode(List.of("SET", "key:" + i, "x")))
                .collect(Collectors.joining());

        assertThat(run(requests, "--pipe").output()).endsWith("errors: 0, replies: 10000\n");

        assertThat(run(RequestParserTest.encode(List.of("LPUSH", "list", "x")), "--pipe")
                        .output())
                .endsWith("errors: 1, replies: 1\n");
        try (Jedis jedis = running.jedis()) {
            assertThat(jedis.dbSize()).isEqualTo(10_000);
        }
    }

    @Test
    void scans() throws Exception {
        setKeys(100);
        assertThat(run("", "--scan", "--pattern", "key:1*").output().lines())
                .hasSize(11)
                .contains("key:1", "key:10", "key:19");
        assertThat(run("", "--scan").output().lines()).hasSize(100);
    }

    @ParameterizedTest
    @CsvSource({"--bigkeys, has 99 bytes", "--memkeys, bytes", "--hotkeys, "})
    void samplesKeys(String option, String biggest) throws Exception {
        setKeys(100);
        EndedProcess cli = run("", option);
        assertThat(cli.exitStatus()).as("%s", cli).isZero();
        assertThat(cli.output()).contains("Sampled 100 keys in the keyspace!");
        if (biggest != null) {
            assertThat(cli.output()).containsPattern("Biggest string found '\"key:99\"' .*" + biggest);
        }
    }

    @Test
    void measuresLatency() throws Exception {
        EndedProcess cli = run("", "--latency", "--raw", "-i", "0.1");
        assertThat(cli.output()).matches("\\d+ \\d+ [0-9.]+ \\d+\n");
        assertThat(cli.exitStatus()).isZero();
    }

    /** Without a number that it expects in INFO, it shows the smallest one there is. */
    @Test
    void showsStatistics() throws Exception {
        setKeys(3);
        Process cli = start("--stat", "-i", "0.01");
        try (BufferedReader output = cli.inputReader(ISO_8859_1)) {
            assertThat(output.lines().limit(30).filter(line -> !line.matches("[-k].*")))
                    .hasSizeGreaterThan(20)
                    .allSatisfy(
                            line -> assertThat(line).matches("3 +[0-9.]+[KM] +[12] +0 +\\d+ \\(\\+\\d+\\) +[23] *"));
        } finally {
            cli.destroyForcibly();
        }
    }
}
