// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.CsvSource;
import org.springframework.cache.Cache.ValueWrapper;
import org.springframework.cache.annotation.CacheConfig;
import org.springframework.cache.annotation.CacheEvict;
import org.springframework.cache.annotation.CachePut;
import org.springframework.cache.annotation.Cacheable;
import org.springframework.cache.annotation.Caching;
import org.springframework.cache.annotation.EnableCaching;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Configuration;
import org.springframework.data.redis.cache.BatchStrategies;
import org.springframework.data.redis.cache.BatchStrategy;
import org.springframework.data.redis.cache.CacheStatistics;
import org.springframework.data.redis.cache.RedisCache;
import org.springframework.data.redis.cache.RedisCacheConfiguration;
import org.springframework.data.redis.cache.RedisCacheManager;
import org.springframework.data.redis.cache.RedisCacheWriter;
import org.springframework.data.redis.connection.RedisConnectionFactory;
import org.springframework.data.redis.connection.RedisStandaloneConfiguration;
import org.springframework.data.redis.connection.jedis.JedisConnectionFactory;
import org.springframework.data.redis.connection.lettuce.LettuceClientConfiguration;
import org.springframework.data.redis.connection.lettuce.LettuceConnectionFactory;
import redis.clients.jedis.Jedis;

/** Tests the server as the cache of a Spring application. */
@ParameterizedClass(name = "{0}, {1}, {2}")
@CsvSource({"lettuce, not locking, keys", "lettuce, locking, scan", "jedis, not locking, scan", "jedis, locking, keys"})
class SpringCacheTest {

    @Parameter(0)
    String client;

    @Parameter(1)
    String locking;

    @Parameter(2)
    String strategy;

    private ServerUnderTest running;
    private AnnotationConfigApplicationContext context;
    private Books books;
    private RedisCacheManager manager;

    @Configuration(proxyBeanMethods = false)
    @EnableCaching
    static class Application {}

    /** A service that counts how often it is asked. */
    @CacheConfig(cacheNames = "books")
    static class Books {

        private final AtomicInteger calls = new AtomicInteger();

        /** The object that tests have is a proxy of this one, and has no fields. */
        public int calls() {
            return calls.get();
        }

        @Cacheable
        public @Nullable String title(long isbn) {
            calls.incrementAndGet();
            return isbn < 0 ? null : "title of " + isbn;
        }

        @Cacheable(sync = true)
        public String slowTitle(String name) {
            calls.incrementAndGet();
            return name;
        }

        @Cacheable(cacheNames = "brief")
        public int number() {
            return calls.incrementAndGet();
        }

        @Cacheable(condition = "#isbn > 10", unless = "#result.isEmpty()", key = "'tags-' + #isbn")
        public List<String> tags(long isbn) {
            calls.incrementAndGet();
            return isbn % 2 == 0 ? List.of() : List.of("a", "b");
        }

        @CachePut(key = "#isbn")
        public String rename(long isbn, String title) {
            return title;
        }

        @CacheEvict
        public void remove(long isbn) {}

        @CacheEvict(allEntries = true)
        public void removeAll() {}

        @Caching(
                put = @CachePut(cacheNames = "authors", key = "#author"),
                evict = {@CacheEvict(key = "#isbn"), @CacheEvict(cacheNames = "brief", allEntries = true)})
        public String write(long isbn, String author) {
            return author + " wrote " + isbn;
        }
    }

    @BeforeEach
    void start() throws IOException {
        running = new ServerUnderTest("--max-memory", "64m", "--io-threads", "2");
        RedisStandaloneConfiguration address = new RedisStandaloneConfiguration("127.0.0.1", running.server.port());
        address.setDatabase(2);
        context = new AnnotationConfigApplicationContext();
        if (client.equals("jedis")) {
            context.registerBean(JedisConnectionFactory.class, () -> new JedisConnectionFactory(address));
        } else {
            LettuceClientConfiguration stopsAtOnce = LettuceClientConfiguration.builder()
                    .shutdownTimeout(Duration.ZERO)
                    .build();
            context.registerBean(
                    LettuceConnectionFactory.class, () -> new LettuceConnectionFactory(address, stopsAtOnce));
        }
        context.registerBean(RedisCacheManager.class, () -> manager(context.getBean(RedisConnectionFactory.class)));
        context.register(Application.class, Books.class);
        context.refresh();
        books = context.getBean(Books.class);
        manager = context.getBean(RedisCacheManager.class);
    }

    private RedisCacheManager manager(RedisConnectionFactory connections) {
        BatchStrategy batches = strategy.equals("keys") ? BatchStrategies.keys() : BatchStrategies.scan(10);
        RedisCacheWriter writer = RedisCacheWriter.create(connections, options -> {
            // Otherwise Lettuce writes later, and the next read may come before.
            options.batchStrategy(batches).immediateWrites();
            if (locking.equals("locking")) {
                options.enableLocking();
            }
        });
        RedisCacheConfiguration defaults = RedisCacheConfiguration.defaultCacheConfig();
        return RedisCacheManager.builder(writer)
                .cacheDefaults(defaults.entryTtl(Duration.ofHours(1)))
                .withCacheConfiguration("brief", defaults.entryTtl(Duration.ofMillis(1)))
                .withCacheConfiguration(
                        "idle", defaults.entryTtl(Duration.ofHours(1)).enableTimeToIdle())
                .enableStatistics()
                .build();
    }

    @AfterEach
    void stop() {
        context.close();
        running.close();
    }

    private RedisCache cache(String name) {
        return (RedisCache) Objects.requireNonNull(manager.getCache(name));
    }

    private Jedis jedis() {
        Jedis jedis = running.jedis();
        jedis.select(2);
        return jedis;
    }

    @Test
    void valuesAreCachedForTheirTime() {
        assertThat(books.title(1)).isEqualTo("title of 1");
        assertThat(books.title(1)).isEqualTo("title of 1");
        assertThat(books.calls()).isEqualTo(1);
        int first = books.number();
        await().until(() -> books.number() > first);

        cache("idle").put("a", new byte[] {1, 2});
        assertThat(cache("idle").get("a", byte[].class)).containsExactly(1, 2);
        try (Jedis jedis = jedis()) {
            assertThat(jedis.ttl("books::1")).isBetween(1L, 3600L);
            assertThat(jedis.ttl("idle::a")).isBetween(1L, 3600L);
        }
    }

    @Test
    void nullsAreCached() {
        assertThat(books.title(-1)).isNull();
        assertThat(books.title(-1)).isNull();
        assertThat(books.calls()).isEqualTo(1);
    }

    @Test
    void conditionsDecideWhatIsCached() {
        IntStream.range(0, 2).forEach(i -> {
            assertThat(books.tags(1)).hasSize(2);
            assertThat(books.tags(11)).hasSize(2);
            assertThat(books.tags(12)).isEmpty();
        });
        assertThat(books.calls()).isEqualTo(5);
        try (Jedis jedis = jedis()) {
            assertThat(jedis.keys("*")).containsExactly("books::tags-11");
        }
    }

    @Test
    void valuesAreReplacedAndEvicted() {
        books.title(1);
        assertThat(books.rename(1, "renamed")).isEqualTo("renamed");
        assertThat(books.title(1)).isEqualTo("renamed");
        books.remove(1);
        assertThat(books.title(1)).isEqualTo("title of 1");
        assertThat(books.write(1, "joe")).isEqualTo("joe wrote 1");
        assertThat(cache("authors").get("joe", String.class)).isEqualTo("joe wrote 1");
        assertThat(cache("books").get(1L)).isNull();
        assertThat(cache("authors").putIfAbsent("joe", "again"))
                .extracting(ValueWrapper::get)
                .isEqualTo("joe wrote 1");
        assertThat(cache("authors").putIfAbsent("jim", "new")).isNull();
        assertThat(cache("authors").evictIfPresent("jim")).isTrue();
        assertThat(cache("authors").evictIfPresent("jim")).isFalse();
    }

    @Test
    void allValuesOfACacheAreEvicted() {
        LongStream.range(0, 250).forEach(books::title);
        books.write(1000, "joe");
        try (Jedis jedis = jedis()) {
            assertThat(jedis.dbSize()).isEqualTo(251);
            books.removeAll();
            assertThat(jedis.keys("*")).containsExactly("authors::joe");
        }
        cache("authors").clear("j*");
        assertThat(cache("authors").invalidate()).isFalse();
    }

    @Test
    void oneOfManyCallersLoadsAValue() {
        List<CompletableFuture<String>> callers = IntStream.range(0, 8)
                .mapToObj(i ->
                        CompletableFuture.supplyAsync(() -> books.slowTitle("x"), task -> new Thread(task).start()))
                .toList();
        assertThat(callers).allSatisfy(caller -> assertThat(caller.join()).isEqualTo("x"));
        if (locking.equals("locking")) {
            assertThat(books.calls()).isEqualTo(1);
        }
        try (Jedis jedis = jedis()) {
            assertThat(jedis.keys("*")).containsExactly("books::x");
        }
    }

    @Test
    void accessesAreCounted() {
        books.title(1);
        books.title(1);
        books.title(2);
        books.remove(1);
        CacheStatistics statistics = cache("books").getStatistics();
        assertThat(statistics.getHits()).isEqualTo(1);
        assertThat(statistics.getMisses()).isEqualTo(2);
        assertThat(statistics.getPuts()).isEqualTo(2);
        assertThat(statistics.getDeletes()).isEqualTo(1);
    }
}
