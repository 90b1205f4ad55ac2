/** The numbers of {@link io.ksm4j.stats} as Micrometer meters. */
package io.ksm4j.micrometer;
