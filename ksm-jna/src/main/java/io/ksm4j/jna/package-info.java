/** The backend on JNA. Users need no type of this package: it is found by {@link io.ksm4j.Ksm#system()}. */
package io.ksm4j.jna;
