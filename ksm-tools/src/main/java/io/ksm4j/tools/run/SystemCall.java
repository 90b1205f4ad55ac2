// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

/** Makes a system call in some thread. */
@FunctionalInterface
interface SystemCall {

    /** Returns the kernel's result: a negative errno on failure. */
    long call(long number, long arg1, long arg2, long arg3);
}
