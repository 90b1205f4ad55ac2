// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.stats;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** A directory used in place of {@code /}. */
record Tree(Path root) {

    static final long PAGE = 4096;
    static final long PID = 1;

    /** The trees of {@code src/test/resources/kernels}; the README of each says where it comes from. */
    static final List<String> KERNELS = List.of("2.6.32", "4.19", "5.10", "5.15", "6.1", "6.8", "6.12", "6.18", "7.2");

    static Tree of(String kernel) {
        try {
            return new Tree(Path.of(Tree.class.getResource("/kernels/" + kernel).toURI()));
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    Path ksm() {
        return root.resolve("sys/kernel/mm/ksm");
    }

    Tree withKsm(String name, String text) {
        write(ksm().resolve(name), text);
        return this;
    }

    Tree withVmstat(String text) {
        write(root.resolve("proc/vmstat"), text);
        return this;
    }

    Tree withProcess(String name, String text) {
        write(root.resolve("proc/" + PID).resolve(name), text);
        return this;
    }

    private static void write(Path file, String text) {
        try {
            Files.createDirectories(file.getParent());
            Files.writeString(file, text, StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    String text(String file) {
        try {
            return Files.readString(root.resolve(file), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    KsmStats stats() {
        return KsmStats.read(root, PAGE);
    }

    ProcessKsmStats process() {
        return ProcessKsmStats.read(root, PID, PAGE);
    }
}
