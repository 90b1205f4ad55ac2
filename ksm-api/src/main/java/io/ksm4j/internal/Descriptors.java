package io.ksm4j.internal;

import java.io.FileInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Tells whether a file could not be opened because no file descriptor is free. Java does not expose errno, only a localized message, so
 * we try to open {@code /dev/null}, which any process may read.
 */
public final class Descriptors {

    /** What is wrong, and what to do. */
    public static final String USED_UP =
            "no file descriptor is free: close files, or raise the limit of the process (ulimit -n, LimitNOFILE= of a"
                    + " systemd service) or of the machine (fs.file-max)";

    private static final Path NULL = Path.of("/dev/null");

    private Descriptors() {}

    /**
     * Whether none is free now. A look at a file's attributes needs none.
     *
     * @return false, too, where there is no {@code /dev/null}
     */
    public static boolean areUsedUp() {
        try (FileInputStream any = new FileInputStream(NULL.toFile())) {
            return any.getFD() == null;
        } catch (IOException e) {
            return Files.isReadable(NULL);
        }
    }

    /**
     * Why a file could not be read or written.
     *
     * @param failure what was thrown
     * @return {@link #USED_UP}, or its message
     */
    public static String reason(IOException failure) {
        return areUsedUp() ? USED_UP : String.valueOf(failure.getMessage());
    }
}
