// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static java.nio.charset.StandardCharsets.US_ASCII;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.KsmException;
import io.ksm4j.Marking;
import io.ksm4j.RegionOptions;
import io.ksm4j.control.KsmDaemon;
import io.ksm4j.control.KsmTuner;
import io.ksm4j.control.TuningPolicy;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.pool.MergeDomain;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.Unpooled;
import io.netty.channel.AdaptiveRecvByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.GlobalEventExecutor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.nio.channels.UnresolvedAddressException;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/** A cache that implements the Redis protocol and stores its values in mergeable memory. */
public final class CacheServer implements AutoCloseable {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    /** The maximum size of one read: enough for a request with a value of 64 KiB. */
    private static final int MAX_READ_BYTES = 256 << 10;

    /** If a client leaves more than this unread, no requests are read from it until half of it is read. */
    private static final int MAX_UNREAD_BYTES = 1 << 20;

    private static final int SECONDS_TO_FINISH = 10;

    private final Ksm ksm = Ksm.systemOrFallback();
    private final Options options;
    private final JvmLimits limitsOfJvm = JvmLimits.read();
    private final int maxClients;
    private final Store store;
    private final MergingSampler sampler;
    private final Map<String, String> configuration = new ConcurrentSkipListMap<>();
    private final ServerCommands server;
    private final Commands commands;
    private final RequestLimits limits;
    private final UnreadReplies unread;
    private final EventLoopGroup group;
    private final ChannelGroup clients = new DefaultChannelGroup(GlobalEventExecutor.INSTANCE);
    private final Sessions sessions = new Sessions();
    private final long start = System.nanoTime();
    private @Nullable Channel listener;
    private @Nullable StatusPage page;
    private @Nullable KsmTuner tuner;
    private boolean closed;

    private CacheServer(Options options) throws IOException {
        this.options = options;
        maxClients = options.maxClients == null ? limitsOfJvm.maxClients() : options.maxClients;
        configuration.put("maxclients", Integer.toString(maxClients));
        // Before anything that has to be closed, because this may fail.
        byte[] password = options.password();
        RegionOptions regions = RegionOptions.DEFAULT
                .withName("cache-server")
                .withMarking(merges() ? Marking.MERGEABLE : Marking.UNMERGEABLE)
                .withHugePages(HugePages.AVOID);
        Deduplication deduplication = options.dedup == Options.Dedup.ON ? Deduplication.ON_STORE : Deduplication.NONE;
        Map<Integer, MergeDomain> domains =
                options.tenantSecrets == null ? Map.of() : TenantSecrets.read(options.tenantSecrets, options.databases);
        TenantPools pools = new TenantPools(ksm, options.maxMemory, regions, deduplication, options.databases, domains);
        store = new Store(pools, limitsOfJvm.maxEntryBytes());
        sampler = new MergingSampler(store);
        configuration.put("appendonly", "no");
        configuration.put("databases", Integer.toString(options.databases));
        configuration.put("maxmemory", Long.toString(options.maxMemory));
        configuration.put("maxmemory-policy", "allkeys-lfu");
        configuration.put("save", "");
        limits = new RequestLimits(pools.capacityBytes(), limitsOfJvm.maxIncompleteBytes(), options.timeout);
        unread = new UnreadReplies(limitsOfJvm.maxUnreadBytes());
        StringCommands strings =
                new StringCommands(store, Math.min(limits.maxWordBytes(), limitsOfJvm.maxHeapBytes() / 8));
        server = new ServerCommands(store, strings, sessions, this::snapshot, configuration, password);
        commands = new Commands(store, strings, new KeyCommands(store), server, options.ioThreads);
        group = new EnduringLoops(options.ioThreads, new DefaultThreadFactory("clients"), NioIoHandler.newFactory());
    }

    /**
     * Starts a server.
     *
     * @throws IOException if the server cannot listen on a port
     */
    static CacheServer start(Options options) throws IOException {
        Preloading.run();
        CacheServer server = new CacheServer(options);
        boolean started = false;
        try {
            server.listen();
            started = true;
            return server;
        } finally {
            if (!started) {
                server.close();
            }
        }
    }

    private boolean merges() {
        return options.merge == Options.Merge.ON;
    }

    private void listen() throws IOException {
        ServerBootstrap bootstrap = new ServerBootstrap()
                .group(group)
                .channelFactory(Listener::new)
                .option(ChannelOption.SO_BACKLOG, 511)
                .option(ChannelOption.SO_REUSEADDR, true)
                .childOption(ChannelOption.TCP_NODELAY, true)
                .childOption(
                        ChannelOption.RECVBUF_ALLOCATOR, new AdaptiveRecvByteBufAllocator(64, 4 << 10, MAX_READ_BYTES))
                .childOption(
                        ChannelOption.WRITE_BUFFER_WATER_MARK,
                        new WriteBufferWaterMark(MAX_UNREAD_BYTES / 2, MAX_UNREAD_BYTES))
                .childHandler(new ChannelInitializer<>() {
                    @Override
                    protected void initChannel(Channel client) {
                        if (clients.size() >= maxClients) {
                            refuse(client);
                            return;
                        }
                        clients.add(client);
                        Session session = sessions.open(client, !server.requiresPassword(), store.watches, limits);
                        client.pipeline().addLast(new Connection(client, commands, limits, unread, session));
                    }
                });
        InetSocketAddress address = new InetSocketAddress(options.bind, options.port);
        Channel bound = listening(bootstrap.bind(address), address);
        listener = bound;
        configuration.put("port", Integer.toString(port()));
        if (options.httpPort != null) {
            page = StatusPage.start(new InetSocketAddress(options.bind, options.httpPort), this::snapshot);
        }
        if (merges() && options.ksmdShare > 0) {
            tuner = startTuner();
        }
    }

    @SuppressWarnings("FutureReturnValueIgnored") // The client is disconnected in any case.
    static void refuse(Channel client) {
        client.config().setAutoRead(false);
        client.writeAndFlush(Unpooled.copiedBuffer("-ERR max number of clients reached\r\n", US_ASCII))
                .addListener(ChannelFutureListener.CLOSE);
    }

    /**
     * Waits until a channel listens.
     *
     * @throws IOException if it cannot
     */
    static Channel listening(ChannelFuture binding, InetSocketAddress address) throws IOException {
        binding.awaitUninterruptibly();
        if (!binding.isSuccess()) {
            Throwable cause = binding.cause();
            // Such an exception has no message.
            String reason = cause instanceof UnresolvedAddressException ? "unknown host" : cause.getMessage();
            throw new IOException(
                    "cannot listen on " + address.getHostString() + ":" + address.getPort() + ": " + reason, cause);
        }
        return binding.channel();
    }

    private @Nullable KsmTuner startTuner() {
        if (!ksm.support().canMark()) {
            return null;
        }
        try {
            if (KsmDaemon.system().mayChange()) {
                return KsmTuner.start(KsmDaemon.system(), TuningPolicy.converge(options.ksmdShare));
            }
            System.out.println("The settings of ksmd are not changed: this needs root.");
        } catch (KsmException | UncheckedIOException e) {
            System.out.println("The settings of ksmd are not changed: " + e.getMessage());
        }
        return null;
    }

    /** Returns the address that clients connect to. */
    InetSocketAddress address() {
        Channel bound = listener;
        if (bound == null) {
            throw new IllegalStateException("not listening yet");
        }
        return (InetSocketAddress) bound.localAddress();
    }

    int port() {
        return address().getPort();
    }

    /** Returns the connections of the clients. */
    ChannelGroup clients() {
        return clients;
    }

    /**
     * Returns the current contents and counters. This is fast: numbers that take long to read are read in another
     * thread.
     */
    Snapshot snapshot() {
        MergingSampler.Sample sample = sampler.latest();
        return store.snapshot(
                TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - start),
                commands.executed(),
                clients.size(),
                sample.merging(),
                sample.ksmd());
    }

    /**
     * Answers all requests that have been read, disconnects the clients, and frees the memory. The settings of
     * {@code ksmd} are restored first. A second call has no effect.
     */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        // First, because these settings belong to the whole machine.
        if (tuner != null) {
            tuner.close();
        }
        if (listener != null) {
            listener.close().awaitUninterruptibly();
        }
        for (Channel client : clients) {
            try {
                client.eventLoop().execute(() -> {
                    Connection connection = client.pipeline().get(Connection.class);
                    // Null if the client has disconnected.
                    if (connection != null) {
                        connection.finish();
                    }
                });
            } catch (RejectedExecutionException e) {
                LOGGER.log(Level.WARNING, "a thread for clients has ended before its clients", e);
            }
        }
        clients.newCloseFuture().awaitUninterruptibly(SECONDS_TO_FINISH, TimeUnit.SECONDS);
        if (page != null) {
            page.close();
        }
        group.shutdownGracefully(0, SECONDS_TO_FINISH, TimeUnit.SECONDS)
                .awaitUninterruptibly(2 * SECONDS_TO_FINISH, TimeUnit.SECONDS);
        sampler.close();
        store.close();
    }

    /**
     * Runs the server until the process is terminated.
     *
     * @param args see {@code --help}
     */
    public static void main(String[] args) {
        Options options = parse(args);
        try {
            // The I/O threads keep the JVM running.
            CacheServer server = start(options);
            Runtime.getRuntime().addShutdownHook(new Thread(server::close, "stop"));
            server.greet();
        } catch (IOException | KsmException e) {
            System.err.println("cache-server: " + e.getMessage());
            System.exit(1);
        }
    }

    private static Options parse(String[] args) {
        try {
            Options options = Options.parse(args);
            if (options.help) {
                CommandLine.usage(options, System.out);
                System.exit(0);
            }
            return options;
        } catch (ParameterException e) {
            System.err.println("cache-server: " + e.getMessage());
            e.getCommandLine().usage(System.err);
            System.exit(2);
            throw e;
        }
    }

    private void greet() {
        limitsOfJvm.warnings(options.maxMemory).forEach(System.out::println);
        System.out.println("At most " + maxClients + " clients, and keys in " + (limitsOfJvm.maxEntryBytes() >> 20)
                + " MiB of the heap");
        if (merges()) {
            ksm.support().obstacles().forEach(obstacle -> System.out.println(obstacle.explanation()));
        }
        if (page != null) {
            System.out.println("Status page: http://" + options.bind + ":" + page.port() + "/");
        }
        System.out.println("Ready on " + options.bind + ":" + port());
    }
}
