// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import java.util.List;

/**
 * The merge regions of this JVM for JConsole and other JMX clients, under the object name {@value #OBJECT_NAME}. It
 * covers the regions of all class loaders that have loaded ksm4j. Registered shortly after the first use of ksm4j,
 * unless {@code -Dio.ksm4j.jmx=false} is set.
 *
 * @since 0.1.0
 */
public interface MergeRegistryMXBean {

    /** The object name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=MergeRegistry";

    /** The maximum number of marks that {@link #getMarks()} lists. */
    int MAX_MARKS = 1000;

    /** {@return the number of open regions} */
    @Meaning(value = "Open regions", units = "regions")
    long getOpenRegions();

    /** {@return the number of bytes marked mergeable, counting each byte once} */
    @Meaning(value = "Memory marked mergeable, each byte counted once", units = "bytes")
    long getMergeableBytes();

    /** {@return the number of leaked regions that were reclaimed since the JVM started} */
    @Meaning(value = "Leaked regions that were reclaimed since the JVM started", units = "regions")
    long getLeaks();

    /**
     * Returns the ranges that are marked, sorted by address.
     *
     * @return at most {@value #MAX_MARKS} marks
     */
    @Meaning(value = "Marked ranges, sorted by address, at most " + MAX_MARKS + " marks", units = "marks with bytes")
    List<MarkView> getMarks();

    /**
     * A marked range, in types available to any JMX client.
     *
     * @since 0.1.0
     */
    interface MarkView {

        /**
         * Returns the address of the first byte.
         *
         * @return hexadecimal digits, as in {@code /proc/PID/maps}
         */
        String getAddress();

        /** {@return the length in bytes} */
        long getBytes();

        /**
         * Returns the owner of the mark.
         *
         * @return the name of the region; if it has none, the name of the thread that opened it
         */
        String getOwner();

        /**
         * Returns when the range was marked.
         *
         * @return a time such as {@code 2026-01-31T12:00:00Z}
         */
        String getSince();
    }
}
