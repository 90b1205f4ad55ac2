/** The backend on jnr-ffi. Users need no type of this package: it is found by {@link io.ksm4j.Ksm#system()}. */
package io.ksm4j.jnr;
