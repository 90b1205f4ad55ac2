// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

/** The architecture of the processor, on which the numbers of system calls depend. */
public final class Architecture {

    public static final boolean AARCH64 = System.getProperty("os.arch").equals("aarch64");
    public static final boolean AMD64 = System.getProperty("os.arch").equals("amd64");

    private Architecture() {}
}
