package io.ksm4j.samples.cacheserver;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.function.Supplier;

/** A page that shows what a server does, on a port of its own. */
final class StatusPage implements AutoCloseable {

    private final InetSocketAddress address;

    private StatusPage(InetSocketAddress address) {
        this.address = address;
    }

    /** Port 0 is any that is free. The snapshots are quick: they may be asked for in an event loop. */
    static StatusPage start(InetSocketAddress address, Supplier<Snapshot> snapshots) throws IOException {
        return new StatusPage(address);
    }

    int port() {
        return address.getPort();
    }

    @Override
    public void close() {}
}
