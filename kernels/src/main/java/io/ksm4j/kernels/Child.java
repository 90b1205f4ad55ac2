package io.ksm4j.kernels;

import io.ksm4j.MergeRegion;
import java.io.IOException;

/** What children of tests say and wait for. */
final class Child {

    private Child() {}

    static void say(String line) {
        System.out.println(line);
    }

    /** Goes on when the parent says so. */
    static void awaitParent(String say) throws IOException {
        say(say);
        if (System.in.read() != '\n') {
            throw new IOException("the parent has gone");
        }
    }

    /** Of equal pages, none has more than this many copies: fewer than one shared page may have users. */
    static final int COPIES = 64;

    /** How many pages of a region differ from each other, if it is to be filled with copies. */
    static long contents(MergeRegion region, long pageSize) {
        return Math.max(1, region.size() / pageSize / COPIES);
    }
}
