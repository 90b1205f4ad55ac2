// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.ChildProcess;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A RESP server in a separate process that listens on a loopback port. */
final class CacheServerProcess implements AutoCloseable {

    private static final String SERVER = "io.ksm4j.samples.cacheserver.CacheServer";

    /** The number of requests that are sent before a reply is read. */
    private static final int BATCH = 50;

    private static final Duration TIMEOUT = Duration.ofSeconds(30);

    private final int port;
    private final Path log;
    private final ChildProcess child;

    private CacheServerProcess(int port, Path log, ChildProcess child) {
        this.port = port;
        this.log = log;
        this.child = child;
    }

    /** Starts Debian's Redis with one I/O thread and without persistence. */
    static CacheServerProcess redis(Path directory) throws IOException, InterruptedException {
        int port = freePort();
        return start(
                Files.createTempFile(directory, "redis", ".log"),
                port,
                List.of(
                        "redis-server",
                        "--port",
                        Integer.toString(port),
                        "--bind",
                        "127.0.0.1",
                        "--dir",
                        directory.toString(),
                        "--save",
                        "",
                        "--appendonly",
                        "no",
                        "--io-threads",
                        "1"));
    }

    /**
     * Starts the sample cache server with the JVM and the class path of this program, and the options of its module.
     */
    static CacheServerProcess sample(Path directory, List<String> jvmOptions, String... options)
            throws IOException, InterruptedException {
        return sample(directory, List.of(), jvmOptions, options);
    }

    /** Starts the sample cache server with few file descriptors. */
    static CacheServerProcess sample(Path directory, int descriptors, List<String> jvmOptions, String... options)
            throws IOException, InterruptedException {
        List<String> limit = List.of("sh", "-c", "ulimit -n " + descriptors + "; exec \"$@\"", "sh");
        return sample(directory, limit, jvmOptions, options);
    }

    private static CacheServerProcess sample(
            Path directory, List<String> prefix, List<String> jvmOptions, String... options)
            throws IOException, InterruptedException {
        int port = freePort();
        List<String> command = new ArrayList<>(prefix);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("--enable-native-access=ALL-UNNAMED");
        command.add("@" + moduleDirectory().resolve("jvm.options"));
        command.addAll(jvmOptions);
        command.addAll(List.of(
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                SERVER,
                "--port",
                Integer.toString(port)));
        command.addAll(List.of(options));
        return start(Files.createTempFile(directory, "cache-server", ".log"), port, command);
    }

    /** Returns the directory of the server's module, whose classes or jar this program uses. */
    private static Path moduleDirectory() throws IOException {
        try {
            ClassLoader loader = CacheServerProcess.class.getClassLoader();
            CodeSource source =
                    Class.forName(SERVER, false, loader).getProtectionDomain().getCodeSource();
            return Path.of(source.getLocation().toURI()).getParent().getParent();
        } catch (ReflectiveOperationException | URISyntaxException e) {
            throw new IOException("the classes of the cache server are not in a directory", e);
        }
    }

    private static int freePort() throws IOException {
        try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            return socket.getLocalPort();
        }
    }

    private static CacheServerProcess start(Path log, int port, List<String> command)
            throws IOException, InterruptedException {
        ChildProcess child = ChildProcess.start(
                new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile()));
        CacheServerProcess server = new CacheServerProcess(port, log, child);
        boolean ready = false;
        try {
            server.awaitReady();
            ready = true;
            return server;
        } finally {
            if (!ready) {
                server.close();
            }
        }
    }

    private void awaitReady() throws IOException, InterruptedException {
        long end = System.nanoTime() + TIMEOUT.toNanos();
        while (true) {
            try (RespClient client = new RespClient(port)) {
                client.call("PING");
                return;
            } catch (IOException e) {
                if (!child.isAlive() || System.nanoTime() > end) {
                    throw new IOException("no answer from " + child + "\n" + log(), e);
                }
                Thread.sleep(20);
            }
        }
    }

    int port() {
        return port;
    }

    RespClient connect() throws IOException {
        return new RespClient(port);
    }

    /** Stores values of random bytes under numbered keys. */
    void store(int tenant, String prefix, int keys, int valueBytes, Random random) throws IOException {
        byte[] value = new byte[valueBytes];
        try (RespClient client = connect()) {
            client.call("SELECT", tenant);
            for (int first = 0; first < keys; first += BATCH) {
                int end = Math.min(keys, first + BATCH);
                for (int key = first; key < end; key++) {
                    random.nextBytes(value);
                    client.send("SET", prefix + key, value);
                }
                for (int key = first; key < end; key++) {
                    client.expectOk();
                }
            }
        }
    }

    /** Returns the output of the server. */
    String log() throws IOException {
        return Files.readString(log);
    }

    /** Returns the sum of a field of {@code /proc/PID/FILE} in bytes. The file's numbers are in KiB. */
    long bytes(String file, String field) throws IOException {
        Path path = Path.of("/proc", Long.toString(child.process().pid()), file);
        try (Stream<String> lines = Files.lines(path)) {
            return lines.filter(line -> line.startsWith(field + ":"))
                            .collect(Collectors.summingLong(line -> Long.parseLong(line.replaceAll("\\D", ""))))
                    << 10;
        }
    }

    /** Returns the number of open file descriptors. */
    long descriptors() throws IOException {
        try (Stream<Path> open =
                Files.list(Path.of("/proc", Long.toString(child.process().pid()), "fd"))) {
            return open.count();
        }
    }

    /** Returns the number of merged pages. */
    long mergedPages() throws IOException {
        return Long.parseLong(
                Files.readString(Path.of("/proc", Long.toString(child.process().pid()), "ksm_merging_pages"))
                        .trim());
    }

    /** Sends SIGTERM and waits for the end of the process. */
    void terminate() throws InterruptedException {
        child.process().destroy();
        child.process().waitFor();
    }

    /** Ends the server. */
    @Override
    public void close() {
        child.close();
    }
}
