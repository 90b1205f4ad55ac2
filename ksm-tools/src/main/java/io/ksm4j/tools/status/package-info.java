/** {@code ksm status}, and how commands read counters of the machine and of processes. */
package io.ksm4j.tools.status;
