/** The settings of the kernel's thread {@code ksmd}: read, changed, borrowed and put back. */
package io.ksm4j.control;
