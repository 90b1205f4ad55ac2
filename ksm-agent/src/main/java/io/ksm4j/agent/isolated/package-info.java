/** The part of the agent that runs in a module of its own, isolated from the program. */
@NullMarked
package io.ksm4j.agent.isolated;

import org.jspecify.annotations.NullMarked;
