/** A cache that speaks the protocol of Redis and keeps its values in memory that merges. */
@NullMarked
package io.ksm4j.samples.cacheserver;

import org.jspecify.annotations.NullMarked;
