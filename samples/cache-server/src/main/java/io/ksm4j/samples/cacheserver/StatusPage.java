// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * An HTTP server for the page that shows the state of the cache and of merging.
 *
 * <p>It has its own thread, so that it never delays the threads that serve the cache.
 */
final class StatusPage implements AutoCloseable {

    static final int CONNECTIONS = 64;
    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");
    private static final Duration TIMEOUT = Duration.ofSeconds(15);

    private final EventLoopGroup loops;
    private final ChannelGroup connections;
    private final Channel listener;

    private StatusPage(EventLoopGroup loops, ChannelGroup connections, Channel listener) {
        this.loops = loops;
        this.connections = connections;
        this.listener = listener;
    }

    /**
     * Starts listening.
     *
     * @param address the address to listen on; port 0 is any free port
     * @param snapshots supplies the numbers; called by one thread every few seconds and for each request that needs
     *     them, and must be fast
     * @throws IOException if it cannot listen on the address
     */
    static StatusPage start(InetSocketAddress address, Supplier<Snapshot> snapshots) throws IOException {
        return start(address, snapshots, TIMEOUT);
    }

    static StatusPage start(InetSocketAddress address, Supplier<Snapshot> snapshots, Duration timeout)
            throws IOException {
        EventLoopGroup loops =
                new EnduringLoops(1, new DefaultThreadFactory("status-page", true), NioIoHandler.newFactory());
        EventLoop loop = loops.next();
        ChannelGroup connections = new DefaultChannelGroup(loop);
        SnapshotHistory history = new SnapshotHistory();
        PageFiles files = PageFiles.load();
        ChannelFuture bound = new ServerBootstrap()
                .group(loops)
                .channelFactory(Listener::new)
                // Small reads, so that few requests are read at a time. Each read is answered before the next.
                .childOption(ChannelOption.RECVBUF_ALLOCATOR, new FixedRecvByteBufAllocator(2048))
                .childHandler(new ChannelInitializer<>() {
                    @Override
                    protected void initChannel(Channel connection) {
                        if (connections.size() == CONNECTIONS) {
                            ChannelFuture unused = connection.close();
                            return;
                        }
                        connections.add(connection);
                        connection
                                .pipeline()
                                .addLast(
                                        new HttpServerCodec(),
                                        new PageHandler(address, snapshots, history, files, timeout));
                    }
                })
                .bind(address);
        Channel listener;
        try {
            listener = CacheServer.listening(bound, address);
        } catch (IOException e) {
            loops.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly();
            throw e;
        }
        Future<?> unused = loop.scheduleAtFixedRate(
                () -> {
                    try {
                        history.add(snapshots.get(), System.currentTimeMillis());
                    } catch (RuntimeException | Error e) {
                        // It would not be called again.
                        LOGGER.log(Level.WARNING, "a point of the status page is missing", e);
                    }
                },
                0,
                SnapshotHistory.SECONDS,
                TimeUnit.SECONDS);
        return new StatusPage(loops, connections, listener);
    }

    /** Returns the port that it listens on. */
    int port() {
        return ((InetSocketAddress) listener.localAddress()).getPort();
    }

    /** Stops listening, closes the connections, and waits for the thread to end. */
    @Override
    public void close() {
        listener.close().awaitUninterruptibly();
        connections.close().awaitUninterruptibly();
        loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
    }
}
