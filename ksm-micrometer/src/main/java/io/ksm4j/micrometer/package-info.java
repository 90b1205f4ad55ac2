/** The numbers of {@link io.ksm4j.stats} as meters of Micrometer. */
package io.ksm4j.micrometer;
