package io.ksm4j.stats;

import java.util.List;

/**
 * The merge regions of this JVM, for JConsole and other JMX clients, under the name {@value #OBJECT_NAME}. It shows the regions
 * of every class loader that has loaded ksm4j. Registered shortly after the first use of ksm4j, unless
 * {@code -Dio.ksm4j.jmx=false} is set.
 */
public interface MergeRegistryMXBean {

    /** The name in the platform MBean server. */
    String OBJECT_NAME = "io.ksm4j:type=MergeRegistry";

    /** The most marks that {@link #getMarks()} lists. */
    int MAX_MARKS = 1000;

    /**
     * Regions that are open.
     *
     * @return a count
     */
    @Meaning(value = "Regions that are open", units = "regions")
    long getOpenRegions();

    /**
     * Bytes marked mergeable, each byte counted once.
     *
     * @return bytes
     */
    @Meaning(value = "What is marked mergeable, each byte counted once", units = "bytes")
    long getMergeableBytes();

    /**
     * Regions that were forgotten and reclaimed since the JVM started.
     *
     * @return a count
     */
    @Meaning(value = "Regions that were forgotten and reclaimed since the JVM started", units = "regions")
    long getLeaks();

    /**
     * What is marked, in order of address.
     *
     * @return at most {@value #MAX_MARKS} marks
     */
    @Meaning(value = "What is marked, in order of address, at most " + MAX_MARKS + " marks", units = "marks with bytes")
    List<MarkView> getMarks();

    /** One mark, in types that a JMX client has. */
    interface MarkView {

        /**
         * Where it starts.
         *
         * @return an address in hexadecimal, as in {@code /proc/PID/maps}
         */
        String getAddress();

        /**
         * How long it is.
         *
         * @return bytes
         */
        long getBytes();

        /**
         * Who asked for it.
         *
         * @return the name of the region, or of the thread that opened it
         */
        String getOwner();

        /**
         * Since when.
         *
         * @return a time as in {@code 2026-01-31T12:00:00Z}
         */
        String getSince();
    }
}
