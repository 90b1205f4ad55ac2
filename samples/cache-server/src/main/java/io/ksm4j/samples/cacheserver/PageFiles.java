// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.cacheserver;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import org.jspecify.annotations.Nullable;

/** The files of the status page by path. All are in memory, so that no requested path reaches the file system. */
final class PageFiles {

    /**
     * A file.
     *
     * @param mediaType the value of the Content-Type header
     * @param content the content, which is never freed; responses use duplicates of it
     */
    record File(String mediaType, ByteBuf content) {}

    private static final String HTML = "text/html; charset=utf-8";
    private static final String SCRIPT = "text/javascript; charset=utf-8";
    private static final String STYLE = "text/css; charset=utf-8";

    private final Map<String, File> files;

    private PageFiles(Map<String, File> files) {
        this.files = files;
    }

    /**
     * Reads the files from the class path, including Chart.js from its WebJar.
     *
     * @throws UncheckedIOException if a file is missing
     */
    static PageFiles load() {
        String own = "io/ksm4j/samples/cacheserver/";
        Properties chart = new Properties();
        try (InputStream properties = open("META-INF/maven/org.webjars.npm/chart.js/pom.properties")) {
            chart.load(properties);
            String dist = "META-INF/resources/webjars/chart.js/" + chart.getProperty("version") + "/dist/";
            return new PageFiles(Map.of(
                    "/", file(HTML, own + "page.html"),
                    "/page.css", file(STYLE, own + "page.css"),
                    "/page.js", file(SCRIPT, own + "page.js"),
                    "/page.svg", file("image/svg+xml", own + "page.svg"),
                    "/chart.js", file(SCRIPT, dist + "chart.umd.min.js")));
        } catch (IOException missing) {
            throw new UncheckedIOException(missing);
        }
    }

    /**
     * Returns the file for a path.
     *
     * @param path the path of the request, up to a question mark; it may be any text
     * @return null if there is no such file
     */
    @Nullable
    File get(String path) {
        return files.get(path);
    }

    private static File file(String mediaType, String name) throws IOException {
        try (InputStream content = open(name)) {
            return new File(mediaType, Unpooled.unreleasableBuffer(Unpooled.wrappedBuffer(content.readAllBytes())));
        }
    }

    private static InputStream open(String name) throws IOException {
        InputStream found = PageFiles.class.getClassLoader().getResourceAsStream(name);
        if (found == null) {
            throw new IOException("not on the class path: " + name);
        }
        return found;
    }
}
