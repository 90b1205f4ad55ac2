/** What the agent does, in the module that the program knows nothing of. */
@NullMarked
package io.ksm4j.agent.inside;

import org.jspecify.annotations.NullMarked;
