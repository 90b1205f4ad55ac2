// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Tests the responses of the status page, mainly to requests that no browser sends. */
class StatusPageTest {

    private static final InetSocketAddress ANY_PORT = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
    private static final HttpClient CLIENT =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private StatusPage page;

    @BeforeEach
    void start() throws IOException {
        page = StatusPage.start(ANY_PORT, () -> Snapshots.EMPTY);
    }

    @AfterEach
    void checkThatPageStillWorksAndStops() throws Exception {
        assertThat(get("/").statusCode()).isEqualTo(200);
        page.close();
        assertThatThrownBy(this::connect).isInstanceOf(IOException.class);
    }

    @ParameterizedTest
    @CsvSource({
        "/, text/html; charset=utf-8, <!doctype html>",
        "/page.css, text/css; charset=utf-8, prefers-color-scheme",
        "/page.js, text/javascript; charset=utf-8, snapshot.json",
        "/page.svg, image/svg+xml, <svg",
        "/chart.js, text/javascript; charset=utf-8, Chart",
        "/snapshot.json, application/json, '{\"time\":'",
        "/snapshot.json?a=b, application/json, '{\"time\":'",
        "/history.json, application/json, ["
    })
    void servesEveryFileWithItsType(String path, String type, String text) throws Exception {
        HttpResponse<String> answer = get(path);
        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.headers().firstValue("content-type")).hasValue(type);
        assertThat(answer.body()).contains(text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"/", "/snapshot.json", "/chart.js", "/nothing"})
    void sendsSecurityHeaders(String path) throws Exception {
        var headers = get(path).headers();
        assertThat(headers.firstValue("content-security-policy").orElseThrow())
                .startsWith("default-src 'none';")
                .doesNotContain("unsafe", "*", "http:", "https:", "data:");
        assertThat(headers.firstValue("x-content-type-options")).hasValue("nosniff");
        assertThat(headers.map().keySet()).noneMatch(name -> name.startsWith("access-control"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/", "/history.json", "/nothing"})
    void headReturnsTheHeadersOfGet(String path) throws Exception {
        String head = send("HEAD " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        String whole = send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        assertThat(whole).startsWith(head).hasSizeGreaterThan(head.length());
        assertThat(head).endsWith("\r\n\r\n").contains("content-length: " + (whole.length() - head.length()) + "\r\n");
    }

    @ParameterizedTest
    @ValueSource(strings = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "BREW"})
    void refusesOtherMethods(String method) throws IOException {
        assertThat(send(method + " / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
                .startsWith("HTTP/1.1 405 ")
                .contains("allow: GET, HEAD\r\n");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "/nothing",
                "//",
                "/index.html",
                "/../page.js",
                "/%2e%2e/%2e%2e/etc/passwd",
                "/page.js/",
                "/META-INF/LICENSE",
                "http://localhost/",
                "*",
                "?"
            })
    void returnsNotFoundForOtherPaths(String path) throws IOException {
        assertThat(send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
                .startsWith("HTTP/1.1 404 ");
    }

    @ParameterizedTest
    @CsvSource({
        "localhost, 200",
        "LocalHost:8080, 200",
        "127.0.0.1:8080, 200",
        "192.168.1.20, 200",
        "[::1]:8080, 200",
        "evil.example, 421",
        "evil.example:8080, 421",
        "localhost.evil.example, 421",
        "127.0.0.1.evil.example, 421",
        "[evil], 421",
        "'', 421"
    })
    void refusesOtherHostNames(String host, int status) throws IOException {
        assertThat(send("GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"))
                .startsWith("HTTP/1.1 " + status + " ");
    }

    @ParameterizedTest
    @CsvSource({
        "'GET / HTTP/1.1\r\n\r\n', 400",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n', 400",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n', 400",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n', 400",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400",
        "'GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n', 400",
        "'GET / HTTP/x\r\nHost: localhost\r\n\r\n', 400",
        "'SET greeting hello\r\n\r\n', 400",
        "'*1\r\n$4\r\nPING\r\n\r\n', 400",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello', 413",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000000\r\nExpect: 100-continue\r\n\r\n', 413",
        "'GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n', 413",
        "'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello', 405"
    })
    void answersABadRequestAndClosesTheConnection(String request, int status) throws IOException {
        assertThat(send(request)).startsWith("HTTP/1.1 " + status + " ").contains("connection: close\r\n");
    }

    @Test
    void answersATooLargeRequestThatIsMostlyUnread() throws IOException {
        String much = "a".repeat(1 << 20);
        assertThat(send("GET /" + much + " HTTP/1.1\r\nHost: localhost\r\n\r\n"))
                .startsWith("HTTP/1.1 414 ");
        assertThat(send("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + much + "\r\n\r\n"))
                .startsWith("HTTP/1.1 431 ");
        assertThat(send("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + much.length() + "\r\n\r\n" + much))
                .startsWith("HTTP/1.1 413 ");
    }

    @Test
    void survivesGarbage() throws IOException {
        Random random = new Random(7);
        byte[] request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".getBytes(ISO_8859_1);
        for (int i = 0; i < 300; i++) {
            byte[] garbage = request.clone();
            for (int change = random.nextInt(8) - 1; change >= 0; change--) {
                garbage[random.nextInt(garbage.length)] = (byte) random.nextInt();
            }
            try (Socket socket = connect()) {
                socket.getOutputStream().write(garbage);
                socket.shutdownOutput();
                String answer = new String(socket.getInputStream().readAllBytes(), ISO_8859_1);
                assertThat(answer).matches("(?s)(|HTTP/1\\.1 (200|400|404|405|421) .*)");
            }
        }
    }

    @Test
    void answersRequestsOfOneConnectionInOrder() throws IOException {
        String request = "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n";
        StringBuilder many = new StringBuilder();
        for (int i = 0; i < 200; i++) {
            many.append(request.formatted("page.css")).append(request.formatted("nothing"));
        }
        String answers = send(many + "GET /page.svg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        List<String> statuses = answers.lines()
                .filter(line -> line.contains("HTTP/1.1 "))
                .map(line -> line.replaceFirst(".*HTTP/1.1 (\\d+).*", "$1"))
                .toList();
        assertThat(statuses).hasSize(401);
        for (int i = 0; i < 400; i += 2) {
            assertThat(statuses.subList(i, i + 2)).containsExactly("200", "404");
        }
        assertThat(answers).endsWith("</svg>\n");
    }

    @Test
    void sendsTheLastResponseToASlowReader() throws IOException {
        String script = "GET /chart.js HTTP/1.1\r\nHost: localhost\r\n\r\n";
        String last = "GET /page.svg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        try (Socket slow = connect()) {
            slow.setReceiveBufferSize(256 << 10);
            slow.getOutputStream().write((script.repeat(40) + last).getBytes(ISO_8859_1));
            await().pollDelay(Duration.ofMillis(300))
                    .until(() -> slow.getInputStream().available() > 0);
            assertThat(endOf(slow)).hasSizeGreaterThan(6 << 20).endsWith("</svg>\n");
        }
    }

    @Test
    void acceptsHttp10RequestsWithoutHost() throws IOException {
        assertThat(send("GET /page.svg HTTP/1.0\r\n\r\n"))
                .matches("(?s)HTTP/1\\.[01] 200 .*")
                .endsWith("</svg>\n");
    }

    @Test
    void closesConnectionsBeyondTheLimit() throws Exception {
        List<Socket> sockets = new ArrayList<>();
        try {
            for (int i = 0; i < StatusPage.CONNECTIONS; i++) {
                sockets.add(connect());
            }
            try (Socket oneTooMany = connect()) {
                assertThat(endOf(oneTooMany)).isEmpty();
            }
        } finally {
            for (Socket socket : sockets) {
                socket.close();
            }
        }
        await().untilAsserted(() -> assertThat(send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
                .contains("200 OK"));
    }

    @Test
    void closesConnectionsThatDoNotCompleteARequestInTime() throws Exception {
        try (StatusPage hasty = StatusPage.start(ANY_PORT, () -> Snapshots.EMPTY, Duration.ofMillis(300));
                Socket silent = new Socket(ANY_PORT.getAddress(), hasty.port());
                Socket slow = new Socket(ANY_PORT.getAddress(), hasty.port());
                Socket idle = new Socket(ANY_PORT.getAddress(), hasty.port())) {
            idle.getOutputStream().write("GET /page.svg HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(ISO_8859_1));
            slow.getOutputStream().write("GET / HTTP/1.1\r\nX: ".getBytes(ISO_8859_1));
            slow.setSoTimeout(10);
            // Sends a byte every ten milliseconds or so.
            await().pollInterval(Duration.ofMillis(10))
                    .ignoreException(java.net.SocketTimeoutException.class)
                    .until(() -> {
                        try {
                            slow.getOutputStream().write('x');
                            return slow.getInputStream().read() == -1;
                        } catch (SocketException closed) {
                            return true;
                        }
                    });
            assertThat(endOf(silent)).isEmpty();
            assertThat(endOf(idle)).startsWith("HTTP/1.1 200 ").endsWith("</svg>\n");
        }
    }

    @Test
    void reportsAPortThatIsInUse() {
        InetSocketAddress taken = new InetSocketAddress(ANY_PORT.getAddress(), page.port());
        assertThatThrownBy(() -> StatusPage.start(taken, () -> Snapshots.EMPTY))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(String.valueOf(page.port()));
    }

    private HttpResponse<String> get(String path) throws IOException, InterruptedException {
        URI uri = URI.create("http://127.0.0.1:" + page.port() + path);
        return CLIENT.send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString());
    }

    /** Returns everything that the server sends until it closes the connection. */
    private String send(String request) throws IOException {
        try (Socket socket = connect()) {
            socket.getOutputStream().write(request.getBytes(ISO_8859_1));
            return endOf(socket);
        }
    }

    private Socket connect() throws IOException {
        return new Socket(ANY_PORT.getAddress(), page.port());
    }

    private static String endOf(Socket socket) throws IOException {
        socket.setSoTimeout((int) PATIENCE.toMillis());
        try (InputStream answers = socket.getInputStream()) {
            return new String(answers.readAllBytes(), ISO_8859_1);
        }
    }
}
