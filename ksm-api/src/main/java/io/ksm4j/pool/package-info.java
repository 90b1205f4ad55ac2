/** A pool of off-heap blocks for values that should merge. {@link io.ksm4j.pool.MergePool} is the entry point. */
package io.ksm4j.pool;
