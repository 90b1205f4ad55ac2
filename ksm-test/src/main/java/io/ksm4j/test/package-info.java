/** Support for tests on kernels with KSM, and the contract that every backend must pass. */
package io.ksm4j.test;
