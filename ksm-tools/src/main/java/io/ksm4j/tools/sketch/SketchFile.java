// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.sketch;

import io.ksm4j.tools.output.CommandFailedException;
import io.ksm4j.tools.sketch.Sketch.Machine;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.zip.CRC32C;
import java.util.zip.CheckedInputStream;
import java.util.zip.CheckedOutputStream;

/** Reads and writes the sketches of the processes of a machine. {@code docs/placement.md} describes the format. */
public final class SketchFile {

    /** How many contents fit into 1 MiB, after everything else. */
    static final int MAX_CONTENTS = ((1 << 20) - 1024) / (Long.BYTES + Integer.BYTES);

    private static final String REMEDY = ": write it again with ksm estimate --sketch";

    private static final long MAGIC = 0x6b736d736b746368L; // ksmsktch
    private static final int VERSION = 1;
    private static final int MAX_NAME_BYTES = 255;
    private static final int MAX_PAGE_SIZE = 1 << 20;

    private SketchFile() {}

    /**
     * Writes a file that only its owner may read, in one step: it is complete or unchanged.
     *
     * @throws IOException if that is not possible
     */
    public static void write(Path file, Machine machine, List<Sketch> sketches) throws IOException {
        Path directory = requireDirectory(file);
        Path temporary = Files.createTempFile(
                directory,
                ".ksm-",
                ".sketch",
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        try {
            try (OutputStream out = Files.newOutputStream(temporary)) {
                write(out, machine, sketches);
            }
            Files.move(temporary, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /**
     * Returns the directory that a file will be in.
     *
     * @throws IOException if it does not exist, or the file is a directory itself
     */
    public static Path requireDirectory(Path file) throws IOException {
        Path directory = file.toAbsolutePath().getParent();
        if (Files.isDirectory(file) || directory == null) {
            throw new CommandFailedException(file + " is a directory: specify a file");
        }
        if (!Files.isDirectory(directory)) {
            throw new NoSuchFileException(directory.toString());
        }
        return directory;
    }

    private static void write(OutputStream file, Machine machine, List<Sketch> sketches) throws IOException {
        CRC32C checksum = new CRC32C();
        DataOutputStream out =
                new DataOutputStream(new BufferedOutputStream(new CheckedOutputStream(file, checksum), 1 << 16));
        out.writeLong(MAGIC);
        out.writeInt(VERSION);
        out.writeLong(machine.key());
        out.writeInt(machine.pageSize());
        out.writeLong(machine.maxPageSharing());
        out.writeBoolean(machine.useZeroPages());
        out.writeInt(sketches.size());
        for (Sketch sketch : sketches) {
            out.writeLong(sketch.pid());
            write(out, sketch.name());
            write(out, sketch.group());
            out.writeLong(sketch.memory());
            out.writeLong(sketch.pages());
            out.writeLong(sketch.zeros());
            out.writeLong(sketch.shared());
            Sample sample = sketch.sample();
            out.writeLong(sample.threshold());
            out.writeInt(sample.size());
            for (int i = 0; i < sample.size(); i++) {
                out.writeLong(sample.hash(i));
            }
            for (int i = 0; i < sample.size(); i++) {
                out.writeInt(sample.count(i));
            }
        }
        out.flush();
        out.writeInt((int) checksum.getValue());
        out.flush();
    }

    private static void write(DataOutputStream out, String name) throws IOException {
        byte[] bytes = name.getBytes(StandardCharsets.UTF_8);
        int length = Math.min(bytes.length, MAX_NAME_BYTES);
        out.writeByte(length);
        out.write(bytes, 0, length);
    }

    /**
     * Reads a file. Passes on each sketch as soon as it is read, because there may be many.
     *
     * @return the machine
     * @throws CommandFailedException if the content is not that of a sketch
     * @throws IOException if the file cannot be read
     */
    public static Machine read(Path file, Consumer<Sketch> sketches) throws IOException {
        CRC32C checksum = new CRC32C();
        if (Files.isDirectory(file)) {
            throw notASketch(file);
        }
        try (DataInputStream in = new DataInputStream(
                new CheckedInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 16), checksum))) {
            if (in.readLong() != MAGIC) {
                throw notASketch(file);
            }
            int version = in.readInt();
            if (version != VERSION) {
                throw new CommandFailedException(file + " has version " + version + " of the format, and this ksm"
                        + " reads version " + VERSION + REMEDY + " of this ksm");
            }
            Machine machine = new Machine(in.readLong(), in.readInt(), in.readLong(), in.readBoolean());
            require(
                    Integer.bitCount(machine.pageSize()) == 1
                            && machine.pageSize() > 0
                            && machine.pageSize() <= MAX_PAGE_SIZE
                            && machine.maxPageSharing() > 1,
                    file);
            int processes = in.readInt();
            require(processes >= 0, file);
            for (int i = 0; i < processes; i++) {
                sketches.accept(sketch(in, machine, file));
            }
            int expected = (int) checksum.getValue();
            require(in.readInt() == expected && in.read() < 0, file);
            return machine;
        } catch (EOFException e) {
            throw new CommandFailedException(file + " is not a complete sketch" + REMEDY, e);
        }
    }

    private static CommandFailedException notASketch(Path file) {
        return new CommandFailedException(
                file + " is not a sketch: specify files that ksm estimate --sketch has written");
    }

    /** Returns the sketches of a file. */
    public static List<Sketch> read(Path file) throws IOException {
        List<Sketch> sketches = new ArrayList<>();
        read(file, sketches::add);
        return sketches;
    }

    private static Sketch sketch(DataInputStream in, Machine machine, Path file) throws IOException {
        Sketch sketch = new Sketch(
                in.readLong(),
                name(in),
                name(in),
                in.readLong(),
                in.readLong(),
                in.readLong(),
                in.readLong(),
                sample(in, file));
        long maxPages = Long.MAX_VALUE / 4 / machine.pageSize();
        require(
                Sketch.isGroup(sketch.group())
                        && isIn(sketch.memory(), Long.MAX_VALUE / 4)
                        && isIn(sketch.pages(), maxPages)
                        && isIn(sketch.shared(), maxPages)
                        && isIn(sketch.zeros(), sketch.pages()),
                file);
        return sketch;
    }

    private static boolean isIn(long value, long max) {
        return value >= 0 && value <= max;
    }

    /** The name may be printed on a terminal. */
    private static String name(DataInputStream in) throws IOException {
        byte[] bytes = new byte[in.readUnsignedByte()];
        in.readFully(bytes);
        return new String(bytes, StandardCharsets.UTF_8).replaceAll("\\p{Cc}", "?");
    }

    private static Sample sample(DataInputStream in, Path file) throws IOException {
        long threshold = in.readLong();
        int size = in.readInt();
        require(threshold > 0 && size >= 0 && size <= MAX_CONTENTS, file);
        long[] hashes = new long[size];
        int[] counts = new int[size];
        bytes(in, size * Long.BYTES).asLongBuffer().get(hashes);
        bytes(in, size * Integer.BYTES).asIntBuffer().get(counts);
        long last = 0;
        for (long hash : hashes) {
            require(hash > last && hash < threshold, file);
            last = hash;
        }
        require(Arrays.stream(counts).allMatch(count -> count > 0), file);
        return new Sample(threshold, hashes, counts);
    }

    private static ByteBuffer bytes(DataInputStream in, int length) throws IOException {
        byte[] bytes = new byte[length];
        in.readFully(bytes);
        return ByteBuffer.wrap(bytes);
    }

    private static void require(boolean isValid, Path file) {
        if (!isValid) {
            throw new CommandFailedException(file + " is a damaged sketch" + REMEDY);
        }
    }
}
