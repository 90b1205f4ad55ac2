/** The backend on JNA. {@link io.ksm4j.Ksm#system()} finds it, so programs need no type of this package. */
package io.ksm4j.jna;
