// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.util.concurrent.Future;
import java.net.SocketAddress;
import java.util.concurrent.TimeUnit;

/**
 * A listening socket that stays open when a client cannot be accepted. Netty waits a second after each failure, but
 * closes the socket if that is an {@link Error}, and may not continue if memory is short at that time.
 */
class Listener extends NioServerSocketChannel {

    @Override
    protected void doBind(SocketAddress address) throws Exception {
        super.doBind(address);
        Future<?> unused = eventLoop().scheduleWithFixedDelay(() -> config().setAutoRead(true), 1, 1, TimeUnit.SECONDS);
    }

    @Override
    protected boolean closeOnReadError(Throwable cause) {
        return !isActive();
    }
}
