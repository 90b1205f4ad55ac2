// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.inference;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;

/**
 * A neural network in the format ONNX: equal square matrices of random weights that multiply the input one after the
 * other, with a function between them.
 *
 * @param width the number of rows and of columns of each matrix
 * @param seed the seed for the weights
 */
record OnnxModel(int width, long seed) {

    static final int LAYERS = 2;

    private static final int IR_VERSION = 8;
    private static final int OPSET_VERSION = 17;
    private static final int FLOAT = 1;

    /** Returns a model whose weights have about this many bytes. */
    static OnnxModel ofSize(long bytes, long seed) {
        return new OnnxModel((int) Math.sqrt((double) bytes / LAYERS / Float.BYTES), seed);
    }

    /** The bytes of all weights. */
    long size() {
        return (long) LAYERS * matrixSize();
    }

    private int matrixSize() {
        return width * width * Float.BYTES;
    }

    /** Writes the model to a file. The numbers of the fields are those of the file onnx.proto. */
    void write(Path file) throws IOException {
        Message graph = new Message();
        for (int i = 0; i < LAYERS; i++) {
            graph.message(1, node("MatMul", "x" + i, "y" + i).text(1, "w" + i));
            graph.message(1, node("Tanh", "y" + i, "x" + (i + 1)));
        }
        graph.text(2, "samples-inference").message(11, vector("x0")).message(12, vector("x" + LAYERS));
        Message model = new Message().number(1, IR_VERSION).message(8, new Message().number(2, OPSET_VERSION));
        // The weights are streamed, so their headers are written first, to learn the size of the graph.
        Message[] weights = new Message[LAYERS];
        long graphSize = graph.size();
        for (int i = 0; i < LAYERS; i++) {
            Message tensor = new Message()
                    .number(1, width)
                    .number(1, width)
                    .number(2, FLOAT)
                    .text(8, "w" + i)
                    .header(9, matrixSize());
            weights[i] = new Message().header(5, tensor.size() + matrixSize()).append(tensor);
            graphSize += weights[i].size() + matrixSize();
        }
        model.header(7, graphSize).append(graph);
        SplittableRandom random = new SplittableRandom(seed);
        try (OutputStream output = new BufferedOutputStream(Files.newOutputStream(file))) {
            model.writeTo(output);
            for (Message tensor : weights) {
                tensor.writeTo(output);
                writeMatrix(random, output);
            }
        }
    }

    private static Message node(String operator, String input, String output) {
        return new Message().text(1, input).text(2, output).text(4, operator);
    }

    private Message vector(String name) {
        Message shape = new Message().message(1, new Message().number(1, 1)).message(1, new Message().number(1, width));
        Message type = new Message().message(1, new Message().number(1, FLOAT).message(2, shape));
        return new Message().text(1, name).message(2, type);
    }

    /** The variance keeps the numbers in the range in which the function changes. */
    private void writeMatrix(SplittableRandom random, OutputStream output) throws IOException {
        ByteBuffer row = ByteBuffer.allocate(width * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        double bound = Math.sqrt(3.0 / width);
        for (int i = 0; i < width; i++) {
            row.clear();
            for (int j = 0; j < width; j++) {
                row.putFloat((float) random.nextDouble(-bound, bound));
            }
            output.write(row.array());
        }
    }

    /** A message of the format protobuf. */
    private static final class Message {

        private static final int VARINT = 0;
        private static final int BYTES = 2;

        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        Message number(int field, long value) {
            return varint(field << 3 | VARINT).varint(value);
        }

        Message text(int field, String text) {
            byte[] encoded = text.getBytes(StandardCharsets.UTF_8);
            header(field, encoded.length).bytes.writeBytes(encoded);
            return this;
        }

        Message message(int field, Message message) {
            return header(field, message.size()).append(message);
        }

        /** Writes what precedes a field of this many bytes. */
        Message header(int field, long length) {
            return varint(field << 3 | BYTES).varint(length);
        }

        Message append(Message other) {
            bytes.writeBytes(other.bytes.toByteArray());
            return this;
        }

        private Message varint(long value) {
            long rest = value;
            for (; rest >= 1 << 7; rest >>>= 7) {
                bytes.write((int) (rest | 1 << 7));
            }
            bytes.write((int) rest);
            return this;
        }

        int size() {
            return bytes.size();
        }

        void writeTo(OutputStream output) throws IOException {
            bytes.writeTo(output);
        }
    }
}
