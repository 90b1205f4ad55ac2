// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.testsupport.EndedProcess;
import io.ksm4j.testsupport.Needed;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.Jedis;

/** Tests the server with those tests of redis-benchmark whose commands it has. */
class RedisBenchmarkTest {

    private static final Pattern RESULT = Pattern.compile("([A-Z_]+)(?: \\(10 keys\\))?: [0-9.]+ requests per second");

    @ParameterizedTest
    @ValueSource(strings = {"-c 50", "-P 16", "--threads 2", "-3", "-P 16 --threads 2 -3 -d 5000 --dbnum 1"})
    void worksWithoutChanges(String options, @TempDir Path directory) throws IOException {
        Needed.program("redis-benchmark", "redis-tools");
        Path password = Files.writeString(directory.resolve("password"), "secret");
        try (ServerUnderTest running = new ServerUnderTest(
                        "--max-memory", "64m", "--io-threads", "2", "--password-file", password.toString());
                Jedis jedis = running.jedis()) {
            String port = Integer.toString(running.server.port());
            List<String> command = new ArrayList<>(List.of(
                    "redis-benchmark", "-p", port, "-a", "secret", "-t", "ping,set,get,incr,mset", "-q", "-n", "1600"));
            command.addAll(List.of(options.split(" ")));

            EndedProcess benchmark = EndedProcess.run(command);

            assertThat(benchmark.exitStatus()).as("%s", benchmark).isZero();
            assertThat(RESULT.matcher(benchmark.output()).results().map(result -> result.group(1)))
                    .as("%s", benchmark)
                    .containsExactly("PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET");
            jedis.auth("secret");
            jedis.select(options.contains("--dbnum") ? 1 : 0);
            assertThat(jedis.get("counter:__rand_int__")).isEqualTo("1600");
            assertThat(jedis.keys("key*")).hasSize(1);
        }
    }
}
