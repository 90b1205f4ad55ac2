/** Regions as memory segments, mergeable arenas, and the backend on {@code java.lang.foreign}. */
package io.ksm4j.ffm;
