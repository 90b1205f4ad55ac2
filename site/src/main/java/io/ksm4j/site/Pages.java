// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.site;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.commonmark.Extension;
import org.commonmark.ext.gfm.tables.TablesExtension;
import org.commonmark.ext.heading.anchor.HeadingAnchorExtension;
import org.commonmark.node.AbstractVisitor;
import org.commonmark.node.Code;
import org.commonmark.node.Heading;
import org.commonmark.node.Image;
import org.commonmark.node.Link;
import org.commonmark.node.Node;
import org.commonmark.node.Text;
import org.commonmark.parser.Parser;
import org.commonmark.renderer.html.HtmlRenderer;

/**
 * The Markdown pages of a repository, as HTML. A page keeps its place and becomes {@code .html}, and {@code README.md}
 * becomes {@code index.html}. Other files that pages refer to, such as images, are copied, and
 * directories get a list of their files.
 */
final class Pages {

    static final String INDEX = "index.html";

    private static final List<Extension> EXTENSIONS =
            List.of(TablesExtension.create(), HeadingAnchorExtension.create());

    private static final Parser PARSER = Parser.builder().extensions(EXTENSIONS).build();

    private static final HtmlRenderer RENDERER =
            HtmlRenderer.builder().extensions(EXTENSIONS).build();

    private final Path root;

    /** The pages by their path relative to the root. */
    private final SortedMap<Path, Node> pages = new TreeMap<>();

    /** The files and directories that pages refer to, relative to the root. */
    private final Set<Path> files = new TreeSet<>();

    private final Set<Path> directories = new TreeSet<>();

    Pages(Path root) throws IOException {
        this.root = root;
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes) {
                String name = directory.getFileName().toString();
                boolean hasNoPages = name.startsWith(".") || name.equals("src") || name.equals("target");
                return hasNoPages && !directory.equals(root) ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                if (file.toString().endsWith(".md")) {
                    pages.put(root.relativize(file), PARSER.parse(Files.readString(file)));
                }
                return FileVisitResult.CONTINUE;
            }
        });
    }

    void writeTo(Path site) throws IOException {
        for (var entry : pages.entrySet()) {
            Path page = entry.getKey();
            Node text = entry.getValue();
            text.accept(new Targets(page));
            write(site.resolve(htmlOf(page)), html(title(page), navigation(page), RENDERER.render(text)));
        }
        for (Path directory : directories) {
            StringBuilder list = new StringBuilder();
            try (Stream<Path> found = Files.walk(root.resolve(directory))) {
                for (Path file : found.filter(Files::isRegularFile).sorted().toList()) {
                    files.add(root.relativize(file));
                    Path link = root.resolve(directory).relativize(file);
                    list.append("<li><a href=\"")
                            .append(link)
                            .append("\">")
                            .append(link)
                            .append("</a></li>\n");
                }
            }
            Path index = directory.resolve(INDEX);
            String text = "<h1>" + directory + "</h1>\n<ul>\n" + list + "</ul>\n";
            write(site.resolve(index), html(directory.toString(), navigation(index), text));
        }
        for (Path file : files) {
            Path copy = site.resolve(file);
            Files.createDirectories(copy.getParent());
            Files.copy(root.resolve(file), copy, StandardCopyOption.REPLACE_EXISTING);
        }
    }

    private static void write(Path file, String html) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, html);
    }

    private static String html(String title, String navigation, String text) {
        return """
                <!DOCTYPE html>
                <html lang="en">
                <head>
                <meta charset="utf-8">
                <meta name="viewport" content="width=device-width">
                <title>%s</title>
                <style>
                body { font: 16px/1.5 sans-serif; margin: 0 auto; max-width: 60em; padding: 0 1em 4em; }
                nav { border-bottom: 1px solid #ccc; font-size: 14px; padding: 1em 0; }
                nav a { margin-right: 1em; white-space: nowrap; }
                pre { background: #f5f5f5; overflow-x: auto; padding: 1em; }
                table { border-collapse: collapse; display: block; overflow-x: auto; }
                th, td { border: 1px solid #ccc; padding: .3em .6em; text-align: left; vertical-align: top; }
                img { max-width: 100%%; }
                </style>
                </head>
                <body>
                <nav>
                %s</nav>
                %s</body>
                </html>
                """.formatted(title, navigation, text);
    }

    private static Path htmlOf(Path page) {
        String name = page.getFileName().toString();
        return page.resolveSibling(name.equals("README.md") ? INDEX : name.replaceAll("md$", "html"));
    }

    private String title(Path page) {
        StringBuilder title = new StringBuilder();
        pages.get(page).accept(new AbstractVisitor() {
            @Override
            public void visit(Heading heading) {
                if (title.isEmpty()) {
                    visitChildren(heading);
                }
            }

            @Override
            public void visit(Text text) {
                if (text.getParent() instanceof Heading) {
                    title.append(text.getLiteral());
                }
            }

            @Override
            public void visit(Code code) {
                if (code.getParent() instanceof Heading) {
                    title.append(code.getLiteral());
                }
            }
        });
        return title.isEmpty()
                ? page.toString()
                : title.toString().replace("&", "&amp;").replace("<", "&lt;");
    }

    private String navigation(Path page) {
        StringBuilder links = new StringBuilder();
        Path toRoot = page.resolveSibling("").relativize(Path.of(""));
        String up = toRoot.toString().isEmpty() ? "" : toRoot + "/";
        links.append("<a href=\"").append(up).append("api/").append(INDEX).append("\">Javadoc</a>\n");
        for (Path other : pages.keySet()) {
            String target = up + htmlOf(other);
            links.append("<a href=\"")
                    .append(target)
                    .append("\">")
                    .append(title(other))
                    .append("</a>\n");
        }
        return links.toString();
    }

    /** Rewrites the links of a page to other pages, and finds the files and directories it refers to. */
    private final class Targets extends AbstractVisitor {

        private final Path directory;

        Targets(Path page) {
            directory = root.resolve(page).getParent();
        }

        @Override
        public void visit(Link link) {
            link.setDestination(rewritten(link.getDestination()));
            visitChildren(link);
        }

        @Override
        public void visit(Image image) {
            image.setDestination(rewritten(image.getDestination()));
            visitChildren(image);
        }

        private String rewritten(String destination) {
            int hash = destination.indexOf('#');
            String path = hash < 0 ? destination : destination.substring(0, hash);
            String anchor = hash < 0 ? "" : destination.substring(hash);
            if (path.isEmpty() || path.contains(":")) {
                return destination;
            }
            Path file = directory.resolve(path).normalize();
            Path page = root.relativize(file);
            if (Files.isDirectory(file) && pages.containsKey(page.resolve("README.md"))) {
                page = page.resolve("README.md");
            }
            if (pages.containsKey(page)) {
                Path html = root.resolve(htmlOf(page));
                return directory.relativize(html) + anchor;
            }
            if (!file.startsWith(root)) {
                return destination;
            }
            if (Files.isDirectory(file)) {
                directories.add(page);
                return directory.relativize(file.resolve(INDEX)).toString();
            }
            if (Files.isRegularFile(file)) {
                files.add(page);
            }
            return destination;
        }
    }
}
