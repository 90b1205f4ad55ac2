/** {@code ksm place}: compares sketches of processes, and groups processes that have much in common. */
package io.ksm4j.tools.place;
