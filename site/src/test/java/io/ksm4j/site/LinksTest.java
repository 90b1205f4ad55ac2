// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.site;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LinksTest {

    @TempDir
    private Path site = Path.of("");

    @Test
    void linksToFilesAndAnchorsThatExistAreNotBroken() throws IOException {
        write("index.html", "<h1 id=\"top\">A</h1> <a href=\"#top\">A</a> <a href=\"docs/a.html#two-words\">B</a>");
        write("docs/a.html", "<h2 id=\"two-words\">B</h2> <a href=\"../index.html\">A</a> <img src=\"a%20b.svg\">");
        write("docs/a b.svg", "<svg/>");
        write("api/K.html", "<section id=\"&lt;init&gt;()\"></section> <a class=\"c\" href=\"#%3Cinit%3E()\">K</a>");

        assertThat(Links.broken(site)).isEmpty();
    }

    @Test
    void linksToElsewhereAreNotFollowed() throws IOException {
        write("index.html", "<a href=\"https://ksm4j.invalid/\">A</a> <a href=\"mailto:a@ksm4j.invalid\">B</a>");

        assertThat(Links.broken(site)).isEmpty();
    }

    @Test
    void linksThatLeadNowhereAreListed() throws IOException {
        write("index.html", """
                <h1 id="top">A</h1>
                <a href="gone.html">no such file</a>
                <a href="docs/a.html#gone">no such anchor there</a>
                <a href="#gone">no such anchor here</a>
                <a href="../outside.html">not in the site</a>
                <img src="gone.png">
                """);
        write("docs/a.html", "<h2 id=\"b\">B</h2>");
        Files.writeString(site.resolveSibling("outside.html"), "");

        assertThat(Links.broken(site))
                .containsExactly(
                        "index.html: gone.html",
                        "index.html: docs/a.html#gone",
                        "index.html: #gone",
                        "index.html: ../outside.html",
                        "index.html: gone.png");
    }

    private void write(String file, String html) throws IOException {
        Path path = site.resolve(file);
        Files.createDirectories(path.getParent());
        Files.writeString(path, html);
    }
}
