/**
 * The table of open regions and of what each wants merged. It consists of JDK types, so that all copies of ksm4j in a
 * JVM can share it.
 *
 * <p>Internal: for ksm4j's own modules only. On the class path nothing prevents other code from using these types, so
 * they may change in any release.
 */
package io.ksm4j.internal.registry;
