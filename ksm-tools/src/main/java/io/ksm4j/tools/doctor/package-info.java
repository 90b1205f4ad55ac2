/** {@code ksm doctor}: checks whether merging can work. */
package io.ksm4j.tools.doctor;
