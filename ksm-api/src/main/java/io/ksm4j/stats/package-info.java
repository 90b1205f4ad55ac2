/** What merging does, in numbers read from the kernel. */
package io.ksm4j.stats;
