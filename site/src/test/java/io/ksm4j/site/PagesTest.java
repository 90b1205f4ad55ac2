// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.site;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PagesTest {

    @TempDir
    private Path directory = Path.of("");

    @Test
    void linksBetweenPagesBecomeLinksBetweenTheirHtml() throws IOException {
        Path root = Files.createDirectories(directory.resolve("root/docs")).getParent();
        Files.writeString(root.resolve("README.md"), "# A & B\n\n[C](docs/c.md#two-words) ![D](docs/d.svg) [E](e)\n");
        Files.writeString(root.resolve("docs/c.md"), "# C\n\n## Two words\n\n| [A](../README.md) |\n| --- |\n| x |\n");
        Files.writeString(root.resolve("docs/d.svg"), "<svg/>");
        Files.writeString(Files.createDirectory(root.resolve("e")).resolve("f.txt"), "F");
        Files.createDirectory(root.resolve("target"));
        Files.writeString(root.resolve("target/e.md"), "# E\n");
        Path site = directory.resolve("site");

        new Pages(root).writeTo(site);

        assertThat(site.resolve("index.html"))
                .content()
                .contains(
                        "<title>A &amp; B</title>",
                        "href=\"docs/c.html#two-words\"",
                        "src=\"docs/d.svg\"",
                        "href=\"e/index.html\"");
        assertThat(site.resolve("docs/c.html"))
                .content()
                .contains("<a href=\"../index.html\">A</a>", "id=\"two-words\"", "<td>x</td>");
        assertThat(site.resolve("docs/d.svg")).exists();
        assertThat(site.resolve("e/index.html")).content().contains("href=\"f.txt\"");
        assertThat(site.resolve("e/f.txt")).exists();
        assertThat(site.resolve("target")).doesNotExist();
    }

    @Test
    void noLinkOfThisRepositoryIsBroken() throws IOException {
        Path site = directory.resolve("site");
        new Pages(Path.of("..").toAbsolutePath().normalize()).writeTo(site);
        // libexec/site has javadoc write it.
        Files.createDirectories(site.resolve("api"));
        Files.writeString(site.resolve("api/index.html"), "");

        assertThat(Links.broken(site)).isEmpty();
    }
}
