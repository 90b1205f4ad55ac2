package io.ksm4j.samples.cacheserver;

import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.group.ChannelGroup;
import io.netty.channel.group.DefaultChannelGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.codec.http.HttpServerCodec;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * The page that shows what the server and merging do, over HTTP.
 *
 * <p>It has a thread of its own, so that it never keeps those waiting that serve the cache.
 */
final class StatusPage implements AutoCloseable {

    static final int CONNECTIONS = 64;
    private static final Duration PATIENCE = Duration.ofSeconds(15);

    private final EventLoopGroup loops;
    private final ChannelGroup connections;
    private final Channel listener;

    private StatusPage(EventLoopGroup loops, ChannelGroup connections, Channel listener) {
        this.loops = loops;
        this.connections = connections;
        this.listener = listener;
    }

    /**
     * Starts to listen.
     *
     * @param address where; port 0 is any that is free
     * @param snapshots is asked every few seconds, and for each request that wants the numbers, in one thread; must be quick
     * @throws IOException if it cannot listen there
     */
    static StatusPage start(InetSocketAddress address, Supplier<Snapshot> snapshots) throws IOException {
        return start(address, snapshots, PATIENCE);
    }

    static StatusPage start(InetSocketAddress address, Supplier<Snapshot> snapshots, Duration patience)
            throws IOException {
        EventLoopGroup loops = new MultiThreadIoEventLoopGroup(
                1, new DefaultThreadFactory("status-page", true), NioIoHandler.newFactory());
        EventLoop loop = loops.next();
        ChannelGroup connections = new DefaultChannelGroup(loop);
        History history = new History();
        PageFiles files = PageFiles.load();
        ChannelFuture bound = new ServerBootstrap()
                .group(loops)
                .channel(NioServerSocketChannel.class)
                // Few requests at a time: each read is answered before the next.
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
                                        new PageHandler(address, snapshots, history, files, patience));
                    }
                })
                .bind(address)
                .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            loops.shutdownGracefully(0, 1, TimeUnit.SECONDS).awaitUninterruptibly();
            throw new IOException("The status page cannot listen on " + address, bound.cause());
        }
        Future<?> unused = loop.scheduleAtFixedRate(
                () -> history.add(snapshots.get(), System.currentTimeMillis()), 0, History.SECONDS, TimeUnit.SECONDS);
        return new StatusPage(loops, connections, bound.channel());
    }

    /** The port it listens on. */
    int port() {
        return ((InetSocketAddress) listener.localAddress()).getPort();
    }

    /** Stops listening, closes the connections and waits for the thread to end. */
    @Override
    public void close() {
        listener.close().awaitUninterruptibly();
        connections.close().awaitUninterruptibly();
        loops.shutdownGracefully(0, 5, TimeUnit.SECONDS).awaitUninterruptibly();
    }
}
