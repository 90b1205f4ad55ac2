/**
 * The interfaces that a native binding implements: the few system calls ksm4j makes, and Java views of the memory they
 * return. Users of the library do not need this package.
 */
package io.ksm4j.spi;
