// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.site;

import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Checks the links between the files of a directory. Links to elsewhere are not followed. */
final class Links {

    private static final Pattern COMMENT = Pattern.compile("(?s)<!--.*?-->|<script\\b[^>]*>.*?</script>");
    private static final Pattern LINK = Pattern.compile("<[^<>]*\\s(?:href|src)=\"([^\"]*)\"");
    private static final Pattern ANCHOR = Pattern.compile("<[^<>]*\\s(?:id|name)=\"([^\"]*)\"");

    private final Path directory;
    private final Map<Path, Set<String>> anchors = new HashMap<>();

    private Links(Path directory) {
        this.directory = directory;
    }

    /** Returns each link that leads nowhere, as {@code FILE: LINK}, sorted. */
    static List<String> broken(Path directory) throws IOException {
        Links links = new Links(directory);
        List<String> broken = new ArrayList<>();
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.filter(path -> path.toString().endsWith(".html"))
                    .sorted()
                    .toList()) {
                Matcher matcher = LINK.matcher(textOf(file));
                Set<String> seen = new HashSet<>();
                while (matcher.find()) {
                    String link = unescaped(matcher.group(1));
                    if (seen.add(link) && !links.leadsSomewhere(file, link)) {
                        broken.add(directory.relativize(file) + ": " + link);
                    }
                }
            }
        }
        return broken;
    }

    private boolean leadsSomewhere(Path file, String link) throws IOException {
        if (link.matches("(?i)(https?|mailto|javascript|data):.*|#?")) {
            return true;
        }
        String[] parts = link.split("#", 2);
        String path = URLDecoder.decode(parts[0].replaceFirst("\\?.*", "").replace("+", "%2B"), StandardCharsets.UTF_8);
        Path target = path.isEmpty() ? file : file.resolveSibling(path).normalize();
        if (!target.startsWith(directory) || !Files.isRegularFile(target)) {
            return false;
        }
        if (parts.length == 1 || parts[1].isEmpty() || !target.toString().endsWith(".html")) {
            return true;
        }
        Set<String> names = anchors.get(target);
        if (names == null) {
            names = new HashSet<>();
            Matcher matcher = ANCHOR.matcher(textOf(target));
            while (matcher.find()) {
                names.add(unescaped(matcher.group(1)));
            }
            anchors.put(target, names);
        }
        String anchor = URLDecoder.decode(parts[1].replace("+", "%2B"), StandardCharsets.UTF_8);
        return names.contains(anchor) || names.contains(parts[1]);
    }

    private static String textOf(Path html) throws IOException {
        return COMMENT.matcher(Files.readString(html)).replaceAll("");
    }

    private static String unescaped(String attribute) {
        return attribute
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
    }
}
