/** {@code ksm estimate}: reads the memory of processes and computes what merging would save and cost. */
package io.ksm4j.tools.estimate;
