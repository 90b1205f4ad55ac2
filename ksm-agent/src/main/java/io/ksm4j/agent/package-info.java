/**
 * The agent {@code ksm-agent.jar}: opts a whole JVM in or out. What stands here the program's class loader sees, so it is little,
 * and needs nothing but the JDK; the rest is in a module of its own.
 */
@NullMarked
package io.ksm4j.agent;

import org.jspecify.annotations.NullMarked;
