// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import static io.netty.handler.codec.http.HttpResponseStatus.BAD_REQUEST;
import static io.netty.handler.codec.http.HttpResponseStatus.METHOD_NOT_ALLOWED;
import static io.netty.handler.codec.http.HttpResponseStatus.MISDIRECTED_REQUEST;
import static io.netty.handler.codec.http.HttpResponseStatus.NOT_FOUND;
import static io.netty.handler.codec.http.HttpResponseStatus.OK;
import static io.netty.handler.codec.http.HttpResponseStatus.REQUEST_ENTITY_TOO_LARGE;
import static io.netty.handler.codec.http.HttpResponseStatus.REQUEST_HEADER_FIELDS_TOO_LARGE;
import static io.netty.handler.codec.http.HttpResponseStatus.REQUEST_URI_TOO_LONG;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.socket.DuplexChannel;
import io.netty.handler.codec.http.DefaultFullHttpResponse;
import io.netty.handler.codec.http.FullHttpResponse;
import io.netty.handler.codec.http.HttpHeaderNames;
import io.netty.handler.codec.http.HttpHeaders;
import io.netty.handler.codec.http.HttpMethod;
import io.netty.handler.codec.http.HttpObject;
import io.netty.handler.codec.http.HttpRequest;
import io.netty.handler.codec.http.HttpResponseStatus;
import io.netty.handler.codec.http.HttpUtil;
import io.netty.handler.codec.http.HttpVersion;
import io.netty.handler.codec.http.TooLongHttpHeaderException;
import io.netty.handler.codec.http.TooLongHttpLineException;
import io.netty.util.NetUtil;
import io.netty.util.concurrent.Future;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Answers the HTTP requests of one connection in order. */
final class PageHandler extends SimpleChannelInboundHandler<HttpObject> {

    private static final Map<String, String> ALWAYS = Map.of(
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
                    + " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "x-content-type-options",
            "nosniff",
            "referrer-policy",
            "no-referrer",
            "cross-origin-resource-policy",
            "same-origin",
            "cache-control",
            "no-cache");

    private final InetSocketAddress address;
    private final Supplier<Snapshot> snapshots;
    private final SnapshotHistory history;
    private final PageFiles files;
    private final Duration timeout;
    private @Nullable Future<?> deadline;
    private boolean last;

    /**
     * Creates a handler for one connection.
     *
     * @param timeout the maximum time from a response to the next complete request, even if bytes keep arriving, and
     *     for reading a response
     */
    PageHandler(
            InetSocketAddress address,
            Supplier<Snapshot> snapshots,
            SnapshotHistory history,
            PageFiles files,
            Duration timeout) {
        this.address = address;
        this.snapshots = snapshots;
        this.history = history;
        this.files = files;
        this.timeout = timeout;
    }

    @Override
    public void channelActive(ChannelHandlerContext context) {
        awaitRequest(context);
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        cancelDeadline();
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, HttpObject part) {
        if (last) {
            return;
        }
        if (part.decoderResult().isFailure()) {
            last = true;
            send(context, refuse(part.decoderResult().cause()));
        } else if (part instanceof HttpRequest request) {
            boolean body = HttpUtil.isTransferEncodingChunked(request) || HttpUtil.getContentLength(request, 0L) > 0;
            FullHttpResponse response = answer(request, body);
            last = body || !HttpUtil.isKeepAlive(request) || response.status().equals(BAD_REQUEST);
            send(context, response);
        }
        // Any other part is the empty end of a request without a body.
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
        // Reads no further requests while the client does not read the responses.
        context.channel().config().setAutoRead(last || context.channel().isWritable());
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        // Usually a reset by the client. Any exception affects only this connection.
        ChannelFuture unused = context.close();
    }

    private void awaitRequest(ChannelHandlerContext context) {
        cancelDeadline();
        deadline = context.executor()
                .schedule(
                        () -> {
                            ChannelFuture unused = context.close();
                        },
                        timeout.toMillis(),
                        TimeUnit.MILLISECONDS);
    }

    private void cancelDeadline() {
        if (deadline != null) {
            deadline.cancel(false);
        }
    }

    private void send(ChannelHandlerContext context, FullHttpResponse response) {
        HttpHeaders headers = response.headers();
        ALWAYS.forEach(headers::set);
        HttpUtil.setContentLength(response, response.content().readableBytes());
        HttpUtil.setKeepAlive(response, !last);
        // The field may have changed by the time this response is written.
        boolean isLast = last;
        context.writeAndFlush(response).addListener(written -> {
            if (!written.isSuccess()) {
                ChannelFuture unused = context.close();
            } else if (isLast) {
                // If the connection were closed with unread data, it would be reset, and the response might be lost.
                ChannelFuture unused = ((DuplexChannel) context.channel()).shutdownOutput();
            } else {
                awaitRequest(context);
            }
        });
    }

    private FullHttpResponse answer(HttpRequest request, boolean body) {
        HttpResponseStatus bad = checkHost(request);
        if (bad != null) {
            return text(
                    bad,
                    bad.equals(BAD_REQUEST)
                            ? "The request needs exactly one Host header."
                            : "Use the address of the server, or localhost.");
        }
        if (!request.method().equals(HttpMethod.GET) && !request.method().equals(HttpMethod.HEAD)) {
            FullHttpResponse refusal = text(METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.");
            refusal.headers().set(HttpHeaderNames.ALLOW, "GET, HEAD");
            return refusal;
        }
        if (body) {
            return text(REQUEST_ENTITY_TOO_LARGE, "Requests must not have a body.");
        }
        String path = request.uri().split("\\?", 2)[0];
        return switch (path) {
            case "/snapshot.json" -> json(SnapshotJson.snapshot(snapshots.get(), System.currentTimeMillis()));
            case "/history.json" -> json(history.json());
            default -> {
                PageFiles.File file = files.get(path);
                yield file == null
                        ? text(NOT_FOUND, "Not found.")
                        : response(OK, file.mediaType(), file.content().duplicate());
            }
        };
    }

    /**
     * Protects against DNS rebinding: another website could resolve its own name to this server's address and read the
     * responses. The browser then sends that name as the host, so only addresses and localhost are accepted.
     */
    private @Nullable HttpResponseStatus checkHost(HttpRequest request) {
        List<String> hosts = request.headers().getAll(HttpHeaderNames.HOST);
        if (hosts.isEmpty() && request.protocolVersion().equals(HttpVersion.HTTP_1_0)) {
            return null;
        }
        if (hosts.size() != 1) {
            return BAD_REQUEST;
        }
        String host = hosts.get(0).replaceFirst(":\\d*$", "");
        boolean isAllowed = host.equalsIgnoreCase("localhost")
                || host.equalsIgnoreCase(address.getHostString())
                || NetUtil.isValidIpV4Address(host)
                || (host.startsWith("[") && host.endsWith("]") && NetUtil.isValidIpV6Address(host));
        return isAllowed ? null : MISDIRECTED_REQUEST;
    }

    private static FullHttpResponse refuse(Throwable cause) {
        if (cause instanceof TooLongHttpLineException) {
            return text(REQUEST_URI_TOO_LONG, "The request line is too long.");
        }
        if (cause instanceof TooLongHttpHeaderException) {
            return text(REQUEST_HEADER_FIELDS_TOO_LARGE, "The headers are too long.");
        }
        return text(BAD_REQUEST, "This is not an HTTP request.");
    }

    private static FullHttpResponse json(String json) {
        return response(OK, "application/json", Unpooled.copiedBuffer(json, StandardCharsets.UTF_8));
    }

    private static FullHttpResponse text(HttpResponseStatus status, String line) {
        return response(
                status, "text/plain; charset=utf-8", Unpooled.copiedBuffer(line + "\n", StandardCharsets.UTF_8));
    }

    private static FullHttpResponse response(HttpResponseStatus status, String mediaType, ByteBuf content) {
        FullHttpResponse response = new DefaultFullHttpResponse(HttpVersion.HTTP_1_1, status, content);
        response.headers().set(HttpHeaderNames.CONTENT_TYPE, mediaType);
        return response;
    }
}
