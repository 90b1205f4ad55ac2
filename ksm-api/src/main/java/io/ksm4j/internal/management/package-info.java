/**
 * JMX, Java Flight Recorder, and the way in which copies of ksm4j in one JVM find the table that they share.
 *
 * <p>Internal: for ksm4j's own modules only. On the class path nothing prevents other code from using these types, so
 * they may change in any release.
 */
package io.ksm4j.internal.management;
