/** {@code ksm attach}: opts a running JVM in or out through the agent. */
package io.ksm4j.tools.attach;
