// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.benchmarks.heap;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.MergeRegion;
import io.ksm4j.RegionOptions;
import io.ksm4j.benchmarks.ChildProcess;
import io.ksm4j.spi.KsmBackend;
import io.ksm4j.spi.KsmBackendProvider;
import java.io.BufferedReader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.ServiceLoader;
import org.jspecify.annotations.Nullable;

/**
 * A JVM that holds the same data as the other JVMs of this class. It prints "ready" and the number of bytes it filled,
 * and ends when its standard input ends.
 */
public final class DataHoldingJvm {

    /** What the JVM holds and where. */
    public enum HeldData {
        NOTHING("nothing"),
        RECORDS("records on the heap"),
        ARRAYS("arrays of 1 MiB on the heap"),
        REGION("records in a region"),
        DIRECT_BUFFERS("direct buffers of 8 MiB"),
        NATIVE_BLOCKS("native library: blocks of 8 MiB"),
        SMALL_NATIVE_BLOCKS("native library: blocks of 256 KiB, after one of 8 MiB was freed"),
        RESERVED("a page in a thousand places of reserved memory");

        private final String label;

        HeldData(String label) {
            this.label = label;
        }

        String label() {
            return label;
        }
    }

    private static final int ARRAY = 1 << 20;
    private static final int BLOCK = 8 << 20;
    private static final int SMALL_BLOCK = 256 << 10;
    private static final int MAX_OTHER_BLOCK = 4096;
    static final int MIN_VALUE_BYTES = 100;
    static final int MAX_VALUE_BYTES = 999;
    private static final int TOUCHED_PAGES = 1000;
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_PRIVATE_ANONYMOUS_NORESERVE = 0x4022;
    private static final int MADV_NOHUGEPAGE = 15;
    private static final String NAME_PREFIX = "customer-";

    private final Random random = new Random(42);
    private final byte[] name = (NAME_PREFIX + "abcdefghijkl").getBytes(StandardCharsets.ISO_8859_1);
    private final byte[] scratch = new byte[MAX_VALUE_BYTES];
    /** Random numbers that differ between JVMs. */
    private final Random others = new Random();

    private final List<Object> onHeap = new ArrayList<>();
    private @Nullable MergeRegion region;

    private DataHoldingJvm() {}

    /**
     * Starts a JVM with a heap of {@code heap} bytes that holds {@code size} bytes of data.
     *
     * @param prefix a command that runs {@code java}, such as {@code env} with variables; may be empty
     * @param optsIn whether it opts in as a whole through ksm4j
     */
    public static ChildProcess start(
            List<String> prefix, List<String> options, long heap, HeldData holding, long size, boolean optsIn)
            throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        command.addAll(List.of(
                "-Xms" + heap,
                "-Xmx" + heap,
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                DataHoldingJvm.class.getName(),
                holding.name(),
                Long.toString(size),
                Boolean.toString(optsIn)));
        return ChildProcess.start(new ProcessBuilder(command).redirectErrorStream(true));
    }

    /** Waits until a JVM holds its data, and returns how many bytes it has filled. */
    public static long awaitReady(ChildProcess child) throws IOException {
        List<String> said = new ArrayList<>();
        // Not closed: the stream belongs to the child.
        BufferedReader output = child.process().inputReader(StandardCharsets.UTF_8);
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            if (line.startsWith("ready ")) {
                return Long.parseLong(line.substring("ready ".length()));
            }
            said.add(line);
        }
        throw new IOException(child + " has ended:\n" + String.join("\n", said));
    }

    /**
     * Holds data. The arguments are the name of a {@link HeldData}, the total bytes of all values, and whether to opt
     * in.
     */
    public static void main(String[] args) throws Throwable {
        HeldData holding = HeldData.valueOf(args[0]);
        long size = Long.parseLong(args[1]);
        DataHoldingJvm process = new DataHoldingJvm();
        if (Boolean.parseBoolean(args[2])) {
            // Before anything else, so that new pages are mergeable from the start.
            Ksm.system().process().markMergeable();
        }
        long filled = switch (holding) {
            case NOTHING -> 0;
            case RECORDS -> process.records(size);
            case ARRAYS -> process.arrays(size);
            case REGION -> process.region(size);
            case DIRECT_BUFFERS -> process.directBuffers(size);
            case NATIVE_BLOCKS -> process.nativeBlocks(size);
            case SMALL_NATIVE_BLOCKS -> process.smallNativeBlocks(size);
            case RESERVED -> process.reserve(size);
        };
        // Long-lived data has survived a collection.
        System.gc();
        System.out.println("ready " + filled);
        while (System.in.read() >= 0) {
            // Discards input until it ends.
        }
        System.out.println("held " + process.onHeap.size() + " objects, region " + process.region);
    }

    private long records(long size) {
        long filled = 0;
        while (filled < size) {
            byte[] value = new byte[next()];
            System.arraycopy(scratch, 0, value, 0, value.length);
            onHeap.add(Map.entry(new String(name, StandardCharsets.ISO_8859_1), value));
            filled += name.length + value.length;
        }
        return filled;
    }

    private long arrays(long size) {
        for (long filled = 0; filled < size; filled += ARRAY) {
            byte[] array = new byte[ARRAY];
            random.nextBytes(array);
            onHeap.add(array);
        }
        return onHeap.size() * (long) ARRAY;
    }

    /** Writes the records one after the other, each with its length. */
    private long region(long size) {
        region = Ksm.system()
                .allocate(size + MAX_VALUE_BYTES + 64, RegionOptions.DEFAULT.withHugePages(HugePages.AVOID));
        ByteBuffer target = region.buffer();
        while (target.position() < size) {
            int length = next();
            target.put(name).putShort((short) length).put(scratch, 0, length);
        }
        return target.position();
    }

    private long directBuffers(long size) {
        byte[] content = new byte[BLOCK];
        for (long filled = 0; filled < size; filled += BLOCK) {
            random.nextBytes(content);
            onHeap.add(ByteBuffer.allocateDirect(BLOCK).put(content));
        }
        return size;
    }

    private long nativeBlocks(long size) throws Throwable {
        CMemory memory = new CMemory();
        byte[] content = new byte[BLOCK];
        for (long filled = 0; filled < size; filled += BLOCK) {
            random.nextBytes(content);
            memory.allocate(BLOCK).copyFrom(MemorySegment.ofArray(content));
        }
        return size;
    }

    /** Allocates other blocks of any size between those with data, as libraries do. */
    private long smallNativeBlocks(long size) throws Throwable {
        CMemory memory = new CMemory();
        memory.free(memory.allocate(BLOCK));
        byte[] content = new byte[SMALL_BLOCK];
        for (long filled = 0; filled < size; filled += SMALL_BLOCK) {
            memory.allocate(others.nextInt(1, MAX_OTHER_BLOCK));
            random.nextBytes(content);
            memory.allocate(SMALL_BLOCK).copyFrom(MemorySegment.ofArray(content));
        }
        return size;
    }

    /** Reserves memory, and uses little of it. */
    private long reserve(long size) {
        KsmBackend backend = ServiceLoader.load(KsmBackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.name().equals("ffm"))
                .findFirst()
                .orElseThrow()
                .open();
        long address = backend.mmap(size, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_NORESERVE);
        if (address < 0 || backend.madvise(address, size, MADV_NOHUGEPAGE) < 0) {
            throw new IllegalStateException(size + " bytes cannot be reserved");
        }
        for (long i = 0; i < TOUCHED_PAGES; i++) {
            long page = address + size / TOUCHED_PAGES * i / backend.pageSize() * backend.pageSize();
            backend.map(page, backend.pageSize(), this).buffer(0, Long.BYTES).putLong(i);
        }
        return TOUCHED_PAGES * backend.pageSize();
    }

    /** Generates a name and a value, and returns the value's length. */
    private int next() {
        for (int i = NAME_PREFIX.length(); i < name.length; i++) {
            name[i] = (byte) random.nextInt('a', 'z' + 1);
        }
        random.nextBytes(scratch);
        return random.nextInt(MIN_VALUE_BYTES, MAX_VALUE_BYTES + 1);
    }
}
