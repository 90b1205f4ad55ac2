/** The contract that every backend must pass. */
package io.ksm4j.test;
