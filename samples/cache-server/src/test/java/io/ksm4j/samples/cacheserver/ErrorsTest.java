// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.ksm4j.testsupport.Patience.PATIENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.Ksm;
import io.ksm4j.RegionOptions;
import io.ksm4j.pool.Deduplication;
import io.ksm4j.samples.cacheserver.ServerUnderTest.RawClient;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelDuplexHandler;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelPromise;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.IoHandle;
import io.netty.channel.IoHandler;
import io.netty.channel.IoHandlerContext;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.IoRegistration;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.embedded.EmbeddedChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.util.ReferenceCountUtil;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Throws errors at various places: at most the client concerned is disconnected. */
class ErrorsTest {

    private static final ThreadFactory THREADS = new DefaultThreadFactory("errors-test", true);

    /** Where an error is thrown. */
    enum Place {
        READ,
        READ_COMPLETE,
        WRITE,
        FLUSH,
        EVENT,
        INACTIVE
    }

    /** Throws an error once a client has sent something. */
    private static final class Thrower extends ChannelDuplexHandler {

        private final Place place;

        Thrower(Place place) {
            this.place = place;
        }

        private void pass(Place now) {
            if (place == now) {
                throw now == Place.READ || now == Place.EVENT || now == Place.FLUSH
                        ? new OutOfMemoryError("by a test")
                        : new StackOverflowError("by a test");
            }
        }

        @Override
        public void channelRead(ChannelHandlerContext context, Object message) throws Exception {
            if (place == Place.READ) {
                ReferenceCountUtil.release(message);
            }
            pass(Place.READ);
            if (place == Place.EVENT) {
                context.pipeline().fireUserEventTriggered("event");
            }
            super.channelRead(context, message);
        }

        @Override
        public void channelReadComplete(ChannelHandlerContext context) throws Exception {
            super.channelReadComplete(context);
            pass(Place.READ_COMPLETE);
        }

        @Override
        public void userEventTriggered(ChannelHandlerContext context, Object event) {
            pass(Place.EVENT);
        }

        @Override
        public void channelInactive(ChannelHandlerContext context) throws Exception {
            super.channelInactive(context);
            pass(Place.INACTIVE);
        }

        @Override
        public void write(ChannelHandlerContext context, Object message, ChannelPromise promise) throws Exception {
            if (place == Place.WRITE) {
                ReferenceCountUtil.release(message);
            }
            pass(Place.WRITE);
            super.write(context, message, promise);
        }

        @Override
        public void flush(ChannelHandlerContext context) throws Exception {
            pass(Place.FLUSH);
            super.flush(context);
        }
    }

    @ParameterizedTest
    @EnumSource
    void onlyTheClientConcernedIsDisconnected(Place place) throws IOException {
        try (ServerUnderTest running = new ServerUnderTest("--io-threads", "1");
                RawClient other = running.raw();
                RawClient client = running.raw()) {
            assertThat(client.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            assertThat(other.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            Channel channel = running.server.clients().stream()
                    .filter(one -> ((InetSocketAddress) one.remoteAddress()).getPort() == client.socket.getLocalPort())
                    .findFirst()
                    .orElseThrow();
            channel.pipeline().addFirst(new Thrower(place));

            client.send("PING\r\nQUIT\r\n");

            assertThat(client.readUpTo(100)).isIn("", "+PONG\r\n+OK\r\n");
            assertThat(other.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            try (RawClient another = running.raw()) {
                assertThat(another.ask("PING\r\n", 7)).isEqualTo("+PONG\r\n");
            }
        }
    }

    @ParameterizedTest
    @ValueSource(classes = {OutOfMemoryError.class, StackOverflowError.class})
    void anErrorInACommandDisconnects(Class<? extends Error> type) throws Exception {
        Error error = type.getConstructor(String.class).newInstance("by a test");
        TenantPools pools = new TenantPools(
                Ksm.systemOrFallback(), 1 << 20, RegionOptions.DEFAULT, Deduplication.ON_STORE, 1, Map.of());
        RequestLimits limits = new RequestLimits(1 << 20, 3 << 20, Duration.ofMinutes(1));
        try (Store store = new Store(pools, 1 << 20)) {
            StringCommands strings = new StringCommands(store, 1 << 20);
            ServerCommands failing = new ServerCommands(
                    store,
                    strings,
                    new Sessions(),
                    () -> {
                        throw error;
                    },
                    Map.of(),
                    null);
            InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 1);
            EmbeddedChannel client = new EmbeddedChannel();
            client.pipeline()
                    .addLast(new Connection(
                            client,
                            new Commands(store, strings, new KeyCommands(store), failing, 2),
                            limits,
                            new UnreadReplies(1 << 20),
                            new Session(1, address, address, true, store.watches, limits)));

            client.writeInbound(Unpooled.copiedBuffer("INFO\r\nPING\r\n", StandardCharsets.US_ASCII));

            assertThat(client.isOpen()).isFalse();
            assertThat(client.<ByteBuf>readOutbound()).isNull();
            assertThat(limits.hold(3 << 20)).as("everything was given back").isTrue();
        }
    }

    /** Fails once instead of waiting for input. */
    private record FailingOnce(IoHandler handler, AtomicInteger failures) implements IoHandler {

        @Override
        public int run(IoHandlerContext context) {
            if (failures.getAndDecrement() > 0) {
                throw new OutOfMemoryError("by a test");
            }
            return handler.run(context);
        }

        @Override
        public void initialize() {
            handler.initialize();
        }

        @Override
        public void prepareToDestroy() {
            handler.prepareToDestroy();
        }

        @Override
        public void destroy() {
            handler.destroy();
        }

        @Override
        public IoRegistration register(IoHandle handle) throws Exception {
            return handler.register(handle);
        }

        @Override
        public void wakeup() {
            handler.wakeup();
        }

        @Override
        public boolean isCompatible(Class<? extends IoHandle> handleType) {
            return handler.isCompatible(handleType);
        }
    }

    @Test
    void eventLoopsGoOn() throws Exception {
        IoHandlerFactory nio = NioIoHandler.newFactory();
        AtomicInteger failures = new AtomicInteger(3);
        EnduringLoops loops =
                new EnduringLoops(1, THREADS, executor -> new FailingOnce(nio.newHandler(executor), failures));
        try {
            assertThat(loops.submit(() -> "done").get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                    .isEqualTo("done");
            assertThat(loops.schedule(() -> "later", 1, TimeUnit.MILLISECONDS)
                            .get(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                    .isEqualTo("later");
            assertThat(failures).hasNonPositiveValue();
        } finally {
            end(loops);
        }
    }

    /** Cannot accept the first client. */
    private static final class WithoutMemory extends Listener {

        private boolean hasFailed;

        @Override
        protected int doReadMessages(List<Object> accepted) throws Exception {
            if (!hasFailed) {
                hasFailed = true;
                throw new OutOfMemoryError("by a test");
            }
            return super.doReadMessages(accepted);
        }
    }

    private static final class Greeting extends ChannelInitializer<Channel> {

        @Override
        protected void initChannel(Channel client) {
            CacheServer.refuse(client);
        }
    }

    @Test
    void theListenerStaysOpenAndAcceptsAgain() throws IOException {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        String greeting = "-ERR max number of clients reached\r\n";
        EventLoopGroup loops = new MultiThreadIoEventLoopGroup(1, THREADS, NioIoHandler.newFactory());
        try {
            Channel listener = CacheServer.listening(
                    new ServerBootstrap()
                            .group(loops)
                            .channelFactory(WithoutMemory::new)
                            .childHandler(new Greeting())
                            .bind(address),
                    address);
            int port = ((InetSocketAddress) listener.localAddress()).getPort();
            try (RawClient client = new RawClient(port)) {
                assertThat(client.readToEnd()).isEqualTo(greeting);
            }
            // As if memory had been too short for the task that sets it again.
            listener.config().setAutoRead(false);
            try (RawClient client = new RawClient(port)) {
                assertThat(client.readToEnd()).isEqualTo(greeting);
            }
        } finally {
            end(loops);
        }
    }

    private static void end(EventLoopGroup loops) {
        assertThat(loops.shutdownGracefully(0, 1, TimeUnit.SECONDS)
                        .awaitUninterruptibly(PATIENCE.toSeconds(), TimeUnit.SECONDS))
                .isTrue();
    }
}
