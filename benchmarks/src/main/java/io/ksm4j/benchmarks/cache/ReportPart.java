// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.cache;

import io.ksm4j.benchmarks.Target;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What one part of {@link CacheBenchmark} has measured.
 *
 * @param table a table of Markdown
 */
record ReportPart(String table, List<Target> targets) {

    /** Returns the section of the page. */
    String text() {
        return table + "\n"
                + targets.stream().map(target -> "    " + target + "\n").collect(Collectors.joining());
    }
}
