/** Off-heap blocks for values that should merge. */
package io.ksm4j.pool;
