package io.ksm4j.benchmarks;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** The part of a page that a benchmark writes, between two comments that name it. */
record MeasuredPart(Path page, String benchmark) {

    /** The page below a root with this part replaced. */
    String replaced(Path root, String text) throws IOException {
        String before = Files.readString(root.resolve(page));
        String begin = "<!-- From here on written by benchmarks/run " + benchmark + " -->\n";
        String end = "<!-- Until here -->\n";
        int from = before.indexOf(begin);
        int to = before.indexOf(end, Math.max(0, from));
        if (from < 0 || to < 0) {
            throw new IllegalArgumentException(page + " has lost the marks around what benchmarks/run " + benchmark
                    + " writes: they are\n" + begin + end);
        }
        return before.substring(0, from + begin.length()) + "\n" + text + "\n" + before.substring(to);
    }
}
