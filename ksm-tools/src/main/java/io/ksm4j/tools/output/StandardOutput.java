// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.output;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;

/**
 * Standard output of the process. Unlike a {@link java.io.PrintStream}, it reports a failure; later output is dropped.
 */
public final class StandardOutput extends OutputStream {

    private final FileOutputStream out = new FileOutputStream(FileDescriptor.out);
    private boolean failed;

    @Override
    public void write(int b) {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) {
        if (failed) {
            return;
        }
        try {
            out.write(bytes, offset, length);
        } catch (IOException e) {
            failed = true;
            throw isPipe()
                    ? new ClosedPipeException(e)
                    : new CommandFailedException("cannot write to standard output: " + e.getMessage(), e);
        }
    }

    /**
     * {@return whether standard output is a pipe or a socket} The errno is only part of the exception's message, which
     * depends on the locale.
     */
    private static boolean isPipe() {
        Path file = Path.of("/proc/self/fd/1");
        try {
            return Files.readAttributes(file, BasicFileAttributes.class).isOther()
                    && !Files.readSymbolicLink(file).startsWith("/dev");
        } catch (IOException e) {
            return false;
        }
    }
}
