// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

/** The exit statuses that commands have in common. */
public final class ExitStatus {

    /** Success; for {@code ksm doctor}, merging can work. */
    public static final int SUCCESS = 0;

    /** Failure; for {@code ksm doctor}, merging cannot work. */
    public static final int FAILURE = 1;

    /** The command line is invalid. */
    public static final int USAGE = 2;

    /** Terminated by a signal, whose number is added. */
    public static final int SIGNAL = 128;

    private ExitStatus() {}
}
