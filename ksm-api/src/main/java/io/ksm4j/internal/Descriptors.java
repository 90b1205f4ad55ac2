// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.internal;

import java.io.FileInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Detects whether a file could not be opened because the process is out of file descriptors. Java does not expose
 * errno, only a localized message, so this class tries to open {@code /dev/null}, which any process may read.
 */
public final class Descriptors {

    /** The problem and how to fix it. */
    public static final String USED_UP =
            "out of file descriptors: close files, or raise the limit of the process (ulimit -n, or LimitNOFILE= of a"
                    + " systemd service) or of the machine (fs.file-max)";

    private static final Path NULL = Path.of("/dev/null");

    private Descriptors() {}

    /**
     * Returns whether the process is out of file descriptors. Looking up a file's attributes needs none.
     *
     * @return true if it is; false where {@code /dev/null} does not exist
     */
    public static boolean areUsedUp() {
        try (FileInputStream any = new FileInputStream(NULL.toFile())) {
            return any.getFD() == null;
        } catch (IOException e) {
            return Files.isReadable(NULL);
        }
    }

    /**
     * Returns why a file could not be read or written.
     *
     * @param failure the exception thrown
     * @return {@link #USED_UP}, or the message of the exception
     */
    public static String reason(IOException failure) {
        return areUsedUp() ? USED_UP : String.valueOf(failure.getMessage());
    }
}
