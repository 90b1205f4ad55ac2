/**
 * The agent {@code ksm-agent.jar}, which opts a whole JVM in or out. Only this package is on the class path of the
 * program, so it is small and depends only on the JDK. Everything else is in a module with a class loader of its own.
 */
@NullMarked
package io.ksm4j.agent;

import org.jspecify.annotations.NullMarked;
