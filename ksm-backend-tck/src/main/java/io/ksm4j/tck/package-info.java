/** The tests that every backend must pass; see {@link io.ksm4j.tck.BackendContract}. */
package io.ksm4j.tck;
