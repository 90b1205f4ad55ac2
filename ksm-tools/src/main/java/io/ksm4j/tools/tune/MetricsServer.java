// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.tune;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.output.Console;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Serves the machine's counters at {@code /metrics} in the text format of Prometheus. */
final class MetricsServer implements AutoCloseable {

    /** The maximum of concurrent scrapes; each may take up to {@link #TIMEOUT_SECONDS}. */
    private static final int THREADS = 2;

    private static final String TIMEOUT_SECONDS = "10";

    private final HttpServer server;
    private final ExecutorService executor;

    private MetricsServer(HttpServer server, ExecutorService executor) {
        this.server = server;
        this.executor = executor;
    }

    /**
     * Starts the server.
     *
     * @param host a name or an address; empty for the loopback address
     * @param port the port; 0 for any free one
     * @throws CommandFailedException if it cannot listen there
     */
    static MetricsServer start(String host, int port) {
        // Without them, a silent client would occupy a thread forever.
        System.setProperty("sun.net.httpserver.maxReqTime", TIMEOUT_SECONDS);
        System.setProperty("sun.net.httpserver.maxRspTime", TIMEOUT_SECONDS);
        try {
            InetAddress address = host.isEmpty() ? InetAddress.getLoopbackAddress() : InetAddress.getByName(host);
            HttpServer server = HttpServer.create(new InetSocketAddress(address, port), 0);
            ExecutorService executor = Executors.newFixedThreadPool(THREADS, task -> {
                Thread thread = new Thread(task, "ksm-metrics");
                thread.setDaemon(true);
                return thread;
            });
            server.setExecutor(executor);
            server.createContext("/", MetricsServer::answer);
            server.start();
            return new MetricsServer(server, executor);
        } catch (UnknownHostException e) {
            throw new CommandFailedException("unknown host " + host + ": use a name or an address of this machine", e);
        } catch (IOException e) {
            throw new CommandFailedException(
                    "cannot serve metrics on port " + port + ": " + e.getMessage() + ": choose another port", e);
        }
    }

    URI uri() {
        InetSocketAddress address = server.getAddress();
        String host = address.getAddress().getHostAddress();
        return URI.create(
                "http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort() + "/metrics");
    }

    private static void answer(HttpExchange exchange) throws IOException {
        try (exchange) {
            if (!exchange.getRequestURI().getPath().equals("/metrics")) {
                exchange.sendResponseHeaders(404, -1);
                return;
            }
            boolean isHead = exchange.getRequestMethod().equals("HEAD");
            if (!isHead && !exchange.getRequestMethod().equals("GET")) {
                exchange.getResponseHeaders().set("Allow", "GET, HEAD");
                exchange.sendResponseHeaders(405, -1);
                return;
            }
            byte[] body;
            try {
                body = PrometheusText.of(KsmStats.read()).getBytes(StandardCharsets.UTF_8);
            } catch (UncheckedIOException e) {
                Console.say("cannot read metrics: " + e.getMessage());
                exchange.sendResponseHeaders(500, -1);
                return;
            }
            exchange.getResponseHeaders().set("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
            exchange.sendResponseHeaders(200, isHead ? -1 : body.length);
            if (!isHead) {
                exchange.getResponseBody().write(body);
            }
        }
    }

    @Override
    public void close() {
        server.stop(0);
        executor.shutdownNow();
    }
}
