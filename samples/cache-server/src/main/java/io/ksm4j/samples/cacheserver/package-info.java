/** A cache that implements the Redis protocol and stores its values in mergeable memory. */
@NullMarked
package io.ksm4j.samples.cacheserver;

import org.jspecify.annotations.NullMarked;
