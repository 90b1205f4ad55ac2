// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal.management;

import io.ksm4j.internal.JdkModules;
import io.ksm4j.internal.Log;
import io.ksm4j.internal.linux.NativeMappings.Range;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.management.JMException;
import javax.management.ObjectName;

/** Where the JVM keeps its metadata of classes, according to the diagnostic command {@code VM.metaspace}. */
public final class Metaspace {

    private static final Range EVERYTHING = new Range(0, Long.MAX_VALUE);

    private static final Pattern NODE = Pattern.compile("node #\\d+: base 0x([0-9a-f]+): reserved=(\\d+)(?:\\.0+)? KB");
    private static final Pattern ANY_NODE = Pattern.compile("node #\\d+:");

    private Metaspace() {}

    /**
     * Returns the reserved address ranges, in any order. If the JVM does not answer, this is the whole address space.
     * The JVM stops all threads for a moment while it answers.
     */
    public static List<Range> ranges() {
        if (!JdkModules.MANAGEMENT) {
            return List.of(EVERYTHING);
        }
        try {
            return parse((String) ManagementFactory.getPlatformMBeanServer()
                    .invoke(
                            new ObjectName("com.sun.management:type=DiagnosticCommand"),
                            "vmMetaspace",
                            new Object[] {new String[] {"vslist"}},
                            new String[] {String[].class.getName()}));
        } catch (JMException | RuntimeException e) {
            Log.debug("the JVM does not tell where its metaspace is", e);
            return List.of(EVERYTHING);
        }
    }

    static List<Range> parse(String answer) {
        List<Range> nodes = new ArrayList<>();
        for (Matcher node = NODE.matcher(answer); node.find(); ) {
            long start = Long.parseUnsignedLong(node.group(1), 16);
            nodes.add(new Range(start, start + (Long.parseLong(node.group(2)) << 10)));
        }
        boolean isComplete =
                !nodes.isEmpty() && ANY_NODE.matcher(answer).results().count() == nodes.size();
        return isComplete ? nodes : List.of(EVERYTHING);
    }
}
