// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.lettuce.core.KeyValue;
import io.lettuce.core.LettuceFutures;
import io.lettuce.core.RedisClient;
import io.lettuce.core.RedisCommandExecutionException;
import io.lettuce.core.RedisFuture;
import io.lettuce.core.RedisURI;
import io.lettuce.core.SetArgs;
import io.lettuce.core.api.StatefulRedisConnection;
import io.lettuce.core.api.async.RedisAsyncCommands;
import io.lettuce.core.api.sync.RedisCommands;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Tests the server with a client that prefers RESP3. */
class LettuceTest {

    private ServerUnderTest running;
    private RedisClient client;

    @BeforeEach
    void start() throws IOException {
        running = new ServerUnderTest("--max-memory", "64m", "--io-threads", "2");
        client = RedisClient.create(RedisURI.create("127.0.0.1", running.server.port()));
    }

    @AfterEach
    void stop() {
        client.shutdown(Duration.ZERO, Duration.ofSeconds(2));
        running.close();
    }

    @Test
    void worksWithoutChanges() {
        try (StatefulRedisConnection<String, String> connection = client.connect()) {
            RedisCommands<String, String> redis = connection.sync();
            assertThat(redis.set("key", "value", SetArgs.Builder.ex(1000).nx())).isEqualTo("OK");
            assertThat(redis.get("key")).isEqualTo("value");
            assertThat(redis.ttl("key")).isBetween(1L, 1000L);
            assertThat(redis.mset(Map.of("a", "1", "b", "2"))).isEqualTo("OK");
            assertThat(redis.mget("a", "none")).containsExactly(KeyValue.just("a", "1"), KeyValue.empty("none"));
            assertThat(redis.incr("a")).isEqualTo(2);
            assertThat(redis.expire("b", 1000)).isTrue();
            assertThat(redis.exists("a", "b")).isEqualTo(2);
            assertThat(redis.del("a", "b")).isEqualTo(2);
            assertThat(redis.dbsize()).isEqualTo(1);
            assertThat(redis.select(3)).isEqualTo("OK");
            assertThat(redis.dbsize()).isZero();
            assertThat(redis.info("ksm")).contains("saved_bytes:");
            assertThat(redis.configGet("save")).isEqualTo(Map.of("save", ""));
            assertThat(redis.command()).hasSize(Command.values().length);
            assertThatThrownBy(() -> redis.lpush("key", "x"))
                    .isInstanceOf(RedisCommandExecutionException.class)
                    .hasMessageStartingWith("ERR unknown command 'LPUSH'");
            assertThat(redis.flushall()).isEqualTo("OK");
        }
    }

    @Test
    void incrementsExactlyWithSeveralClients() {
        try (StatefulRedisConnection<String, String> one = client.connect();
                StatefulRedisConnection<String, String> other = client.connect()) {
            RedisAsyncCommands<String, String> first = one.async();
            RedisAsyncCommands<String, String> second = other.async();
            List<RedisFuture<Long>> all = IntStream.range(0, 2000)
                    .mapToObj(i -> (i % 2 == 0 ? first : second).incr("n"))
                    .toList();

            assertThat(LettuceFutures.awaitAll(PATIENCE, all.toArray(new RedisFuture<?>[0])))
                    .isTrue();
            assertThat(one.sync().get("n")).isEqualTo("2000");
        }
    }
}
