// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.kernels;

import io.ksm4j.MergeRegion;
import java.io.IOException;

/** The part of the conversation between a test and its child process that the child has. */
final class Child {

    private Child() {}

    static void say(String line) {
        System.out.println(line);
    }

    /** Prints a line, and waits for the parent's answer. */
    static void awaitParent(String say) throws IOException {
        say(say);
        if (System.in.read() != '\n') {
            throw new IOException("the parent has exited");
        }
    }

    /** The maximum number of copies of a page, below the maximum number of users of a shared page. */
    static final int MAX_COPIES = 64;

    /** Returns the number of different contents for a region that is to be filled with copies. */
    static long contents(MergeRegion region, long pageSize) {
        return Math.max(1, region.size() / pageSize / MAX_COPIES);
    }
}
