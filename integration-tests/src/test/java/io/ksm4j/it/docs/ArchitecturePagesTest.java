// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.docs;

import static io.ksm4j.it.docs.ReadmeTest.matches;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The pages on the architecture name and link to files of this repository. */
class ArchitecturePagesTest {

    private static final Path ROOT = Path.of("..").toAbsolutePath().normalize();

    private static final String MAP = "docs/architecture.md";

    private static final String PAGE_OF_A_MODULE = "ARCHITECTURE.md";

    static List<String> pages() throws IOException {
        List<String> pages = new ArrayList<>(files().stream()
                .filter(file -> file.endsWith("/" + PAGE_OF_A_MODULE))
                .toList());
        pages.add(MAP);
        return pages;
    }

    /** Returns all files by their path relative to the root, except hidden ones and those that the build has made. */
    private static List<String> files() throws IOException {
        List<String> files = new ArrayList<>();
        Files.walkFileTree(ROOT, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes) {
                String name = directory.getFileName().toString();
                boolean isSkipped = name.equals("target") || name.startsWith(".");
                return isSkipped && !directory.equals(ROOT) ? FileVisitResult.SKIP_SUBTREE : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                files.add(ROOT.relativize(file).toString());
                return FileVisitResult.CONTINUE;
            }
        });
        return files;
    }

    @Test
    void theMapLinksToThePageOfEveryModule() throws IOException {
        List<String> linked = links(MAP).stream()
                .map(link -> link.replaceFirst("#.*", ""))
                .map(link -> ROOT.relativize(
                                ROOT.resolve(MAP).resolveSibling(link).normalize())
                        .toString())
                .toList();

        assertThat(pages())
                .hasSizeGreaterThan(5)
                .filteredOn(page -> !page.equals(MAP))
                .isSubsetOf(linked);
    }

    /** A name may have directories before it. */
    @ParameterizedTest
    @MethodSource("pages")
    void everyJavaFileThatIsNamedExists(String page) throws IOException {
        List<String> named = matches("([\\w/.-]*\\w\\.java)\\b", read(ROOT.resolve(page)));
        List<String> files = files();

        assertThat(named).isNotEmpty();
        assertThat(named)
                .filteredOn(name -> files.stream().noneMatch(file -> ("/" + file).endsWith("/" + name)))
                .isEmpty();
    }

    @ParameterizedTest
    @MethodSource("pages")
    void everyLinkWithinTheRepositoryWorks(String page) throws IOException {
        assertThat(links(page)).isNotEmpty().allSatisfy(link -> {
            String[] parts = link.split("#", 2);
            Path target = parts[0].isEmpty()
                    ? ROOT.resolve(page)
                    : ROOT.resolve(page).resolveSibling(parts[0]).normalize();
            assertThat(target).startsWith(ROOT).exists();
            if (parts.length > 1) {
                assertThat(anchors(target)).contains(parts[1]);
            }
        });
    }

    private static List<String> links(String page) throws IOException {
        return matches("\\]\\(([^):]+)\\)", read(ROOT.resolve(page)));
    }

    /** Returns the anchors that GitHub gives to headings. */
    private static List<String> anchors(Path page) throws IOException {
        return matches("(?m)^#+ (.*)$", read(page)).stream()
                .map(heading -> heading.toLowerCase(Locale.ROOT)
                        .replaceAll("[^a-z0-9 _-]", "")
                        .replace(' ', '-'))
                .toList();
    }

    private static String read(Path file) throws IOException {
        return Files.readString(file);
    }
}
