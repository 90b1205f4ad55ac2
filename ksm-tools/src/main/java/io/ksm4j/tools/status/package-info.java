/** {@code ksm status}; also reads and describes the machine and its processes for other commands. */
package io.ksm4j.tools.status;
