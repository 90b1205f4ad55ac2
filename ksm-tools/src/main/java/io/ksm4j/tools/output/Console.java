// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import java.nio.charset.Charset;

/** Prints messages on standard error, and knows the character set of standard output. */
public final class Console {

    private Console() {}

    /** Returns the character set that the locale selects for standard output. */
    public static Charset charset() {
        return Charset.forName(
                System.getProperty("stdout.encoding", System.getProperty("native.encoding", "US-ASCII")));
    }

    /**
     * Prints a message as one line on standard error. Replaces control characters: quoted text may contain anything,
     * and the line may go to a terminal.
     */
    public static void say(String message) {
        String line = message.strip().replaceAll("\\s*\\R\\s*", "; ").replaceAll("\\p{Cc}", "?");
        System.err.println("ksm: " + line);
    }
}
