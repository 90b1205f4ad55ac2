/**
 * The table of open regions and what each wants merged, in JDK types that copies of ksm4j in one JVM can share.
 *
 * <p>Internal: for ksm4j's own modules only. On the class path nothing keeps other code out, so these types may change in any release.
 */
package io.ksm4j.internal.registry;
