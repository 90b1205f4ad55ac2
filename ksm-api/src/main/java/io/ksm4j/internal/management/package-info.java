/**
 * JMX and Java Flight Recorder, and the way copies of ksm4j in one JVM find their common table.
 *
 * <p>Internal: for ksm4j's own modules only. On the class path nothing keeps other code out, so these types may change in any release.
 */
package io.ksm4j.internal.management;
