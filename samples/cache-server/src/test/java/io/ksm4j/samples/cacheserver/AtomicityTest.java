// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.params.GetExParams;
import redis.clients.jedis.params.SetParams;

/** With several I/O threads, no client sees half of another client's command. */
class AtomicityTest {

    private static final int ROUNDS = 3_000;

    private final ExecutorService clients = Executors.newCachedThreadPool();
    private ServerUnderTest running;

    @BeforeEach
    void start() throws IOException {
        running = new ServerUnderTest("--max-memory", "16m", "--io-threads", "4");
    }

    @AfterEach
    void stop() {
        clients.shutdownNow();
        running.close();
    }

    @Test
    void keysOfOneMsetChangeTogether() throws Exception {
        AtomicBoolean over = new AtomicBoolean();
        try (Jedis jedis = running.jedis()) {
            jedis.mset("a", "0", "b", "0");
            Future<Integer> reading = clients.submit(() -> {
                int reads = 0;
                try (Jedis reader = running.jedis()) {
                    while (!over.get()) {
                        List<String> values = reader.mget("a", "b");
                        assertThat(values.get(0)).isEqualTo(values.get(1));
                        reads++;
                    }
                }
                return reads;
            });
            for (int i = 0; i < ROUNDS; i++) {
                jedis.mset("a", Integer.toString(i), "b", Integer.toString(i));
            }
            over.set(true);
            assertThat(reading.get()).isPositive();
        }
    }

    @Test
    void setNxGetIsALock() throws Exception {
        AtomicInteger owners = new AtomicInteger();
        AtomicInteger acquired = new AtomicInteger();
        Callable<Boolean> competitor = () -> {
            try (Jedis jedis = running.jedis()) {
                for (int i = 0; i < ROUNDS; i++) {
                    if (jedis.setGet("lock", "taken", SetParams.setParams().nx()) == null) {
                        assertThat(owners.incrementAndGet()).isEqualTo(1);
                        acquired.incrementAndGet();
                        owners.decrementAndGet();
                        jedis.del("lock");
                    }
                }
            }
            return true;
        };
        for (Future<Boolean> done : clients.invokeAll(List.of(competitor, competitor, competitor, competitor))) {
            assertThat(done.get()).isTrue();
        }
        assertThat(acquired).hasPositiveValue();
    }

    @Test
    void getExSetsTheTimeOfTheValueThatItReturns() throws Exception {
        AtomicBoolean over = new AtomicBoolean();
        try (Jedis jedis = running.jedis()) {
            jedis.set("key", "first");
            Future<Set<String>> returned = clients.submit(() -> {
                Set<String> values = new HashSet<>();
                try (Jedis other = running.jedis()) {
                    while (!over.get()) {
                        values.add(other.getEx("key", GetExParams.getExParams().ex(1000)));
                    }
                }
                return values;
            });
            List<String> withTime = new ArrayList<>();
            for (int i = 0; i < ROUNDS || (withTime.isEmpty() && !returned.isDone()); i++) {
                jedis.set("key", Integer.toString(i));
                if (jedis.ttl("key") > 0) {
                    withTime.add(Integer.toString(i));
                }
            }
            over.set(true);
            assertThat(returned.get()).containsAll(withTime);
        }
    }
}
