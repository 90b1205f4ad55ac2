// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.channel.IoEventLoop;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.SingleThreadIoEventLoop;
import java.lang.System.Logger.Level;
import java.util.concurrent.Executor;
import java.util.concurrent.ThreadFactory;

/**
 * Event loops that go on after an {@link Error}, such as an {@link OutOfMemoryError} between two handlers. A loop of
 * Netty would end, and leave its clients and the listener without a thread.
 */
final class EnduringLoops extends MultiThreadIoEventLoopGroup {

    private static final System.Logger LOGGER = System.getLogger("io.ksm4j.samples");

    EnduringLoops(int threads, ThreadFactory threadFactory, IoHandlerFactory ioHandlerFactory) {
        super(threads, threadFactory, ioHandlerFactory);
    }

    @Override
    protected IoEventLoop newChild(Executor executor, IoHandlerFactory ioHandlerFactory, Object... arguments) {
        return new SingleThreadIoEventLoop(this, executor, ioHandlerFactory) {
            @Override
            protected void run() {
                boolean hasEnded = false;
                while (!hasEnded) {
                    try {
                        super.run();
                        hasEnded = true;
                    } catch (RuntimeException | Error e) {
                        report(e);
                    }
                }
            }
        };
    }

    private static void report(Throwable problem) {
        try {
            LOGGER.log(Level.ERROR, "a thread for clients goes on after an error", problem);
        } catch (RuntimeException | Error e) {
            // Logging needs memory, too.
        }
    }
}
