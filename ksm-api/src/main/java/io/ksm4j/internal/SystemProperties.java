// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

/** The system properties that configure ksm4j. Each is read once, when it is first needed. */
public final class SystemProperties {

    /** The name of the backend that must be used. */
    public static final String BACKEND = "io.ksm4j.backend";

    /** Whether leak reports include a stack trace of where the region was opened. */
    public static final String TRACK_LEAKS = "io.ksm4j.trackLeaks";

    /** Whether ksm4j registers MBeans, and through them one registry for all class loaders; default: true. */
    public static final String JMX = "io.ksm4j.jmx";

    /** How many mappings below {@code vm.max_map_count} stay free for the JVM; default: 256. */
    public static final String MAPPING_RESERVE = "io.ksm4j.mappingReserve";

    private SystemProperties() {}
}
