// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.ksm4j.pool.PoolStats;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import redis.clients.jedis.Jedis;

/** Tests the status page in a browser, mostly with fixed numbers instead of a real server. */
@Tag("long")
class StatusPageInBrowserTest {

    private static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

    private static Browser browser;

    private final AtomicLong moment = new AtomicLong();
    private volatile boolean used = true;
    private volatile boolean ksm = true;
    private StatusPage page;

    @BeforeAll
    static void open(@TempDir Path profile) {
        browser = Browser.open(profile);
    }

    @AfterAll
    static void close() {
        if (browser != null) {
            browser.close();
        }
    }

    @BeforeEach
    void start() throws IOException {
        page = StatusPage.start(new InetSocketAddress(LOOPBACK, 0), this::snapshot);
        // The page of the previous test may send another request until a different page is loaded.
        browser.visit("about:blank");
        browser.complaints();
        browser.requests();
        browser.prefer("light");
        browser.resize(1200, 900);
    }

    @AfterEach
    void stop() {
        page.close();
    }

    @Test
    void showsTheNumbers() {
        visit();
        assertThat(browser.run("return document.title")).isEqualTo("cache-server, ksm4j");
        assertThat(browser.text("requested")).isEqualTo("512 MiB");
        assertThat(browser.text("used")).isEqualTo("72 MiB");
        assertThat(browser.text("saved")).isEqualTo("440 MiB");
        assertThat(browser.text("saved-share")).isEqualTo("(86 %)");
        assertThat(browser.text("keys")).isEqualTo("131,072");
        assertThat(browser.text("cpu")).isEqualTo("12 %");
        assertThat(browser.text("hit-rate")).isEqualTo("90 %");
        assertThat(browser.text("evicted")).isEqualTo("7");
        assertThat(browser.text("expired")).isEqualTo("5 expired");
        assertThat(browser.text("capacity")).isEqualTo("1 GiB");
        assertThat(browser.text("tenants"))
                .contains("database keys values")
                .contains("0 65,536 192 MiB")
                .contains("15 65,536 192 MiB");
        assertThat(browser.text("empty")).isEmpty();
        assertThat(browser.text("stopped")).isEmpty();
        assertThat(browser.text("gone")).isEmpty();
    }

    @Test
    void showsWhatAClientStores() throws IOException {
        page.close();
        try (CacheServer server =
                        CacheServer.start(Options.parse("--port", "0", "--max-memory", "64m", "--merge", "off"));
                Jedis client = new Jedis(LOOPBACK.getHostAddress(), server.port())) {
            page = StatusPage.start(new InetSocketAddress(LOOPBACK, 0), server::snapshot);
            visit();
            assertThat(browser.text("keys")).isEqualTo("0");
            client.select(3);
            client.set("catalog".getBytes(UTF_8), new byte[3 << 20]);
            client.get("catalog");
            client.get("nothing");
            await().untilAsserted(() -> {
                assertThat(browser.text("keys")).isEqualTo("1");
                assertThat(browser.text("tenants")).contains("3 1 3 MiB");
                assertThat(browser.text("hit-rate")).isEqualTo("50 %");
                assertThat(browser.text("requested")).startsWith("3").endsWith("MiB");
            });
            page.close();
        }
    }

    @Test
    void drawsEveryLineInItsColor() {
        visit();
        // A line needs two points, and one is added per second.
        for (String line : List.of("memory used", "memory requested", "saved saved", "cpu cpu", "hits hits")) {
            String[] names = line.split(" ", 2);
            await(line)
                    .untilAsserted(() -> assertThat(pixels(names[0], names[1])).isGreaterThan(50));
        }
        assertThat(browser.run("return document.getElementById('plot-saved').querySelector('[role=img]').ariaLabel"))
                .asString()
                .contains("Now 440 MiB saved.");
    }

    @Test
    void sendsRequestsOnlyToTheServerAndLogsNoErrors() {
        visit();
        await().untilAsserted(() -> assertThat(moment.get()).isGreaterThan(4));
        assertThat(browser.requests())
                .contains(uri(), uri() + "chart.js", uri() + "history.json", uri() + "snapshot.json")
                .allMatch(wanted -> wanted.startsWith(uri()));
        assertThat(browser.complaints()).isEmpty();
    }

    @Test
    void blocksContentFromOtherServers() {
        visit();
        assertThat(browser.run("""
                return new Promise(done => {
                  document.addEventListener("securitypolicyviolation", refused => done(refused.blockedURI));
                  document.body.append(Object.assign(new Image(), {src: "http://127.0.0.2:9/x.png"}));
                })""")).isEqualTo("http://127.0.0.2:9/x.png");
    }

    @ParameterizedTest
    @ValueSource(strings = {"light", "dark"})
    void allTextHasEnoughContrast(String scheme) {
        browser.prefer(scheme);
        visit();
        assertThat((Long) browser.run("return getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"
                        + ".reduce((sum, part) => sum + Number(part), 0)"))
                .isBetween(scheme.equals("dark") ? 0L : 600L, scheme.equals("dark") ? 150L : 765L);
        assertThat(lowContrastTexts()).isEmpty();
        page.close();
        await().until(() -> !browser.text("gone").isEmpty());
        assertThat(lowContrastTexts()).isEmpty();
    }

    @Test
    void plotsFollowTheColorScheme() {
        visit();
        await().until(() -> pixels("saved", "saved") > 50);
        String light = color("saved");
        browser.prefer("dark");
        assertThat(color("saved")).isNotEqualTo(light);
        await().untilAsserted(() -> assertThat(pixels("saved", "saved")).isGreaterThan(50));
    }

    @ParameterizedTest
    @ValueSource(ints = {320, 360, 800, 1920})
    void nothingOverflowsHorizontally(int width) {
        browser.resize(width, 740);
        visit();
        // The plots adapt to the new width a moment later.
        await().untilAsserted(() -> assertThat(browser.run("return document.documentElement.scrollWidth"))
                .isEqualTo((long) width));
        assertThat(browser.run("""
                return [...document.querySelectorAll("main *")]
                  .filter(element => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 1
                    && getComputedStyle(element).display !== "inline")
                  .map(element => element.outerHTML.slice(0, 100))"""))
                .asInstanceOf(org.assertj.core.api.InstanceOfAssertFactories.LIST)
                .isEmpty();
    }

    @Test
    void emptyServerShowsHowToStart() {
        used = false;
        visit();
        assertThat(browser.text("empty")).startsWith("No keys yet.");
        assertThat(browser.text("tenants")).isEmpty();
        assertThat(browser.text("requested")).isEqualTo("0 B");
        assertThat(browser.text("hit-rate")).isEqualTo("–");
        used = true;
        await().untilAsserted(() -> assertThat(browser.text("requested")).isEqualTo("512 MiB"));
        assertThat(browser.text("empty")).isEmpty();
    }

    @Test
    void reportsThatTheMachineHasNoKsm() {
        ksm = false;
        visit();
        assertThat(browser.text("stopped")).isEqualTo("This machine has no KSM: nothing merges.");
        assertThat(browser.text("cpu")).isEqualTo("–");
    }

    @Test
    void reportsThatTheServerIsGoneAndReconnects() throws IOException {
        visit();
        InetSocketAddress address = new InetSocketAddress(LOOPBACK, page.port());
        page.close();
        await().untilAsserted(() ->
                assertThat(browser.text("gone")).startsWith("The server does not answer. The numbers shown are from"));
        assertThat(browser.text("status")).contains("no answer");
        page = StatusPage.start(address, this::snapshot);
        await().untilAsserted(() -> assertThat(browser.text("status")).contains("live"));
        assertThat(browser.text("gone")).isEmpty();
    }

    @Test
    void hiddenPageSendsNoRequests() {
        visit();
        hide(true);
        browser.requests();
        await().during(Duration.ofMillis(1500)).until(() -> browser.requests().isEmpty());
        hide(false);
        await().untilAsserted(() -> assertThat(browser.requests()).contains(uri() + "history.json"));
    }

    private void visit() {
        browser.visit(uri());
        await().untilAsserted(() -> assertThat(browser.text("status")).contains("live, up"));
    }

    private String uri() {
        return "http://127.0.0.1:" + page.port() + "/";
    }

    private Snapshot snapshot() {
        long now = moment.incrementAndGet();
        if (!used) {
            return Snapshots.EMPTY;
        }
        return new Snapshot(
                now,
                131_072,
                List.of(new Snapshot.Tenant(0, 65_536, 192 << 20), new Snapshot.Tenant(15, 65_536, 192 << 20)),
                900 * now,
                100 * now,
                2_000 * now,
                7,
                5,
                2,
                new PoolStats(1L << 30, 512 << 20, 512 << 20, 384 << 20, 131_072, 0, 0, 0, 8, 1L << 30),
                new Snapshot.Merging(512 << 20, 72 << 20, 440 << 20),
                ksm
                        ? new Snapshot.Ksmd(
                                true, OptionalDouble.of(0.12), OptionalLong.of(41), OptionalLong.of(112_640))
                        : Snapshot.Ksmd.UNKNOWN);
    }

    private static void hide(boolean hidden) {
        browser.run("Object.defineProperty(document, 'hidden', {value: %s, configurable: true});".formatted(hidden)
                + "document.dispatchEvent(new Event('visibilitychange'))");
    }

    private static String color(String name) {
        return (String) browser.run(
                "return getComputedStyle(document.documentElement).getPropertyValue('--%s')".formatted(name));
    }

    /** Returns the number of pixels of a plot that have about the color of that name. */
    private static long pixels(String plot, String name) {
        return (Long) browser.run("""
                const wanted = "%s".trim().match(/[0-9a-f]{2}/g).map(part => parseInt(part, 16));
                const canvas = document.querySelector("#plot-%s canvas");
                const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                let found = 0;
                for (let i = 0; i < data.length; i += 4) {
                  found += data[i + 3] > 200 && wanted.every((part, j) => Math.abs(data[i + j] - part) < 12);
                }
                return found;""".formatted(color(name), plot));
    }

    /** Returns texts with less contrast than the 4.5 that WCAG 2 requires. */
    private static List<?> lowContrastTexts() {
        return (List<?>) browser.run("""
                const parts = color => color.match(/[\\d.]+/g).map(Number);
                const luminance = color => parts(color).slice(0, 3)
                  .map(part => part / 255)
                  .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
                  .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);
                const ground = element => {
                  const color = getComputedStyle(element).backgroundColor;
                  return (parts(color)[3] ?? 1) === 1 ? color : ground(element.parentElement);
                };
                const texts = [...document.querySelectorAll("body, body *")].filter(element => element.checkVisibility()
                  && [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim()));
                if (texts.length < 30) {
                  throw new Error(`only ${texts.length} texts`);
                }
                return texts.filter(element => {
                  const colors = [getComputedStyle(element).color, ground(element)];
                  const [dark, light] = colors.map(luminance).sort((a, b) => a - b);
                  return (light + 0.05) / (dark + 0.05) < 4.5;
                }).map(element => element.outerHTML);""");
    }
}
