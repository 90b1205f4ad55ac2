/** The backend on jnr-ffi. {@link io.ksm4j.Ksm#system()} finds it, so programs need no type of this package. */
package io.ksm4j.jnr;
