// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.linux;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What a process has in the arenas of glibc's {@code malloc}. Blocks follow each other in an arena, so equal data lies
 * at other offsets in its pages in each process, and does not merge. A block of at least the mmap threshold has a
 * mapping of its own and always starts at the same offset. The threshold is 128 KiB, but grows to the size of such a
 * block when one is freed, up to 32 MiB, unless it is fixed (mallopt(3)). A JVM frees some by itself.
 *
 * @param bytes the bytes in memory that are in arenas
 * @param mergedBytes how many of those are merged, except with the zero page; empty if the kernel does not report it
 * @param isThresholdFixed whether the environment that the process was started with fixes the mmap threshold
 */
public record MallocArenas(long bytes, OptionalLong mergedBytes, boolean isThresholdFixed) {

    /** An environment variable that fixes the threshold, with its value. */
    public static final String FIXED_THRESHOLD = "MALLOC_MMAP_THRESHOLD_=131072";

    /** Less than this is not worth an advice. */
    private static final long MUCH = 16 << 20;

    /** Each mapping that glibc reserves for an arena has this size and alignment: {@code HEAP_MAX_SIZE}. */
    private static final long RESERVED = 64 << 20;

    private static final Pattern GLIBC = Pattern.compile(".*/libc(\\.so\\.6|-2\\.[0-9]+\\.so)( \\(deleted\\))?");

    private static final Pattern FIXES_THRESHOLD = Pattern.compile("MALLOC_(MMAP_THRESHOLD|TRIM_THRESHOLD|TOP_PAD)_=.+"
            + "|GLIBC_TUNABLES=(.*:)?glibc\\.malloc\\.(mmap_threshold|trim_threshold|top_pad)=.+");

    /**
     * Reads the arenas of a process.
     *
     * @param process its directory, such as {@code /proc/self}
     * @return empty if the process has not loaded glibc
     * @throws IOException if a file cannot be read or has unexpected content
     */
    public static Optional<MallocArenas> read(Path process) throws IOException {
        List<Mapping> mappings = Mapping.read(process.resolve("smaps"));
        if (mappings.stream().noneMatch(mapping -> GLIBC.matcher(mapping.name()).matches())) {
            return Optional.empty();
        }
        List<Mapping> arenas = new ArrayList<>();
        for (int i = 0; i < mappings.size(); i++) {
            Mapping mapping = mappings.get(i);
            if (mapping.name().equals("[heap]") || isArena(mapping, mappings.subList(i + 1, mappings.size()))) {
                arenas.add(mapping);
            }
        }
        // Variables may contain any bytes.
        String environment = Files.readString(process.resolve("environ"), StandardCharsets.ISO_8859_1);
        boolean isFixed = Stream.of(environment.split("\0", -1))
                .anyMatch(variable -> FIXES_THRESHOLD.matcher(variable).matches());
        return Optional.of(
                new MallocArenas(arenas.stream().mapToLong(Mapping::anonymous).sum(), mergedBytes(arenas), isFixed));
    }

    private static OptionalLong mergedBytes(List<Mapping> arenas) {
        return arenas.stream().allMatch(arena -> arena.merged().isPresent())
                ? OptionalLong.of(arenas.stream()
                        .mapToLong(arena -> arena.merged().getAsLong())
                        .sum())
                : OptionalLong.empty();
    }

    /**
     * Returns whether a mapping is the used part of an arena: the start of aligned memory that was reserved with
     * {@code MAP_NORESERVE}, whose rest is still inaccessible. A Java heap may have the same shape, but not the flag.
     */
    private static boolean isArena(Mapping mapping, List<Mapping> following) {
        if (!mapping.permissions().equals("rw-p")
                || !mapping.flags().contains("nr")
                || mapping.start() % RESERVED != 0) {
            return false;
        }
        return mapping.end() % RESERVED == 0
                || (!following.isEmpty()
                        && following.get(0).permissions().equals("---p")
                        && following.get(0).start() == mapping.end()
                        && following.get(0).end() > (mapping.end() | (RESERVED - 1)));
    }

    /** {@return whether so much is in arenas and not merged that fixing the threshold may pay} */
    public boolean shouldFixThreshold() {
        return !isThresholdFixed && bytes - mergedBytes.orElse(0) >= MUCH;
    }
}
