// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.run;

/** Makes a system call in some thread. */
@FunctionalInterface
interface SystemCall {

    boolean AARCH64 = System.getProperty("os.arch").equals("aarch64");
    boolean AMD64 = System.getProperty("os.arch").equals("amd64");

    /** Returns the kernel's result: a negative errno on failure. */
    long call(long number, long arg1, long arg2, long arg3);
}
