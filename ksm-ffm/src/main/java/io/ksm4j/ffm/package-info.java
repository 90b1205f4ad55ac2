/** Regions as memory segments, a mergeable arena, and the backend on {@code java.lang.foreign}. */
package io.ksm4j.ffm;
